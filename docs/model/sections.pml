/* Budget sections: counted over the threads of a process, with kernel locks that belong to a descriptor, do not count,
 * and convert silently; a gate that keeps others out while somebody recounts; processes that die, and the note by which
 * it is seen that one died in a section, where it may have charged what stands for nothing.
 *
 * Promise:   while one recounts, no thread of any process is in a section; the dead keep nobody out; and until it is
 *            recounted, a death in a section shows in the number of those who are noted in one, and nothing else does
 *            while nobody is in one.
 * It can fail: -DNO_COUNT  -DCONVERTS  -DENTER_WHILE_RECOUNTING  -DGATE_IN_MEMORY  -DNOTE_LATE  -DNOTED_OUT_UNLOCKED
 *              -DNOTE_CLEARED
 */
#define NP 2
#define NT 2
#ifndef OPS
#define OPS 2
#endif

byte kernel[NP];        /* the section lock of each process's descriptor: 0, 1 shared, 2 exclusive */
byte count[NP];         /* threads in a section, as the process counts them */
bool closed[NP];        /* a thread of the process recounts, or is about to */
bool mutex[NP];         /* of count and closed */
byte gate;              /* who holds the gate byte: process + 1; the kernel drops it with its holder */
bool hint;              /* in mapped memory: that somebody holds the gate */
byte noted;             /* in mapped memory: how many processes are in sections, or died in one */
bool dead[NP];
byte inside[NP];        /* what is true, whatever is counted */
bool in_note[NP];
byte recounting[NP];
byte stale;             /* how many of the noted are dead */
bool lost;              /* somebody died inside, and nobody has recounted since */
byte ended;

#define OTHER (1 - i)
#ifdef GATE_IN_MEMORY
#define GATE_CLOSED (hint)
#else
#define GATE_CLOSED (hint && gate != 0 && gate != i + 1)
#endif

inline lock()   { atomic { mutex[i] == 0 || dead[i] -> mutex[i] = 1 } }
inline unlock() { mutex[i] = 0 }

inline die() {          /* all threads of the process end at their next step */
  if
  :: atomic {
       !dead[i] && !dead[OTHER] && i == 0 ->
       if :: inside[i] > 0 -> lost = 1 :: else fi;
       if :: in_note[i] -> stale++ :: else fi;
       dead[i] = 1; kernel[i] = 0; inside[i] = 0; recounting[i] = 0;
       if :: gate == i + 1 -> gate = 0 :: else fi
     }
  :: true
  fi
}

inline alive() { if :: dead[i] -> goto done :: else fi }

inline note()     { atomic { if :: !dead[i] -> noted++; in_note[i] = 1 :: else fi } }
#ifdef NOTE_CLEARED
inline note_out() { atomic { if :: !dead[i] -> noted = 0; in_note[i] = 0 :: else fi } }
#else
inline note_out() { atomic { if :: !dead[i] -> noted = (noted > 0 -> noted - 1 : 0); in_note[i] = 0 :: else fi } }
#endif

proctype Thread(byte i) {
  byte n; bool ok, mine, first;
  do
  :: n < OPS -> n++;
     alive();
     if
     :: true ->                                         /* a section */
        lock(); ok = 1;
#ifdef ENTER_WHILE_RECOUNTING
        if :: GATE_CLOSED -> ok = 0 :: else fi;
#else
        if :: closed[i] || GATE_CLOSED -> ok = 0 :: else fi;
#endif
        first = (count[i] == 0);
#ifdef NO_COUNT
        if
        :: ok ->
#else
        if
        :: ok && first ->
#endif
           atomic {
             if :: !dead[i] && kernel[OTHER] != 2 -> kernel[i] = 1 :: else -> ok = 0 fi;
#ifndef NOTE_LATE
             if :: ok && first -> note() :: else fi     /* only a recounter would see it missing: never now */
#endif
           }
        :: else
        fi;
        atomic {
          if :: ok && !dead[i] -> count[i]++; inside[i]++; assert(recounting[0] + recounting[1] == 0) :: else fi
        };
#ifdef NOTE_LATE
        if :: ok && first -> die(); note() :: else fi;
#endif
        first = 0;
        unlock();
        if
        :: ok -> alive(); die(); alive();
           lock();
           atomic { if :: !dead[i] -> inside[i]--; count[i]-- :: else fi };
#ifdef NO_COUNT
           atomic { if :: !dead[i] -> kernel[i] = 0 :: else fi };
#else
           if
           :: count[i] == 0 ->
#ifdef NOTED_OUT_UNLOCKED
              atomic { if :: !dead[i] -> kernel[i] = 0 :: else fi };
              die(); note_out()
#else
              note_out();
              atomic { if :: !dead[i] -> kernel[i] = 0 :: else fi }
#endif
           :: else
           fi;
#endif
           unlock()
        :: else
        fi
     :: true ->                                         /* a recount */
        lock();
        if :: closed[i] -> mine = 0 :: else -> closed[i] = 1; mine = 1 fi;
        unlock();
        if
        :: mine ->
           ok = 0;
           atomic { if :: gate == 0 && !dead[i] -> gate = i + 1; hint = 1; ok = 1 :: else fi };
           if
           :: ok -> die(); alive();
              lock();
              atomic {                                  /* a failed attempt is repeated, or given up: here, given up */
#ifdef CONVERTS
                if :: kernel[OTHER] == 0 && !dead[i] -> kernel[i] = 2 :: else -> ok = 0 fi
#else
                if :: count[i] == 0 && kernel[OTHER] == 0 && !dead[i] -> kernel[i] = 2 :: else -> ok = 0 fi
#endif
              };
              unlock();
              if
              :: ok -> atomic { if :: !dead[i] -> recounting[i]++; assert(inside[0] + inside[1] == 0) :: else fi };
                 die(); alive();
                 atomic {
                   assert(inside[0] + inside[1] == 0 && noted == stale);
                   noted = 0; stale = 0; lost = 0; recounting[i]--
                 };
                 atomic { if :: !dead[i] -> kernel[i] = 0 :: else fi }
              :: else
              fi;
              alive();
              hint = 0;
              atomic { if :: gate == i + 1 -> gate = 0 :: else fi }
           :: else
           fi;
           lock(); closed[i] = 0; unlock()
        :: else
        fi
     fi
  :: n >= OPS -> break
  od;
done:
  atomic {
    ended++;
    if
    :: ended == NP * NT && !dead[i] ->
       assert(!GATE_CLOSED && kernel[OTHER] == 0);
       assert(noted == stale && (!lost || noted > 0))
    :: else
    fi
  }
}

init { atomic { run Thread(0); run Thread(0); run Thread(1); run Thread(1) } }
