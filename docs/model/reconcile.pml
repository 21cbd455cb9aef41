/* After a power cut: words, data and counter of a pair agree in nothing. It is reconciled before it is filled, by
 * whoever comes first, while others read it; processes die at any step.
 *
 * Promise:   no reader gets a wrong byte; what is charged is never less than what is allocated; and once it says that it
 *            is reconciled, no block is taken of which no word speaks.
 * It can fail: -DBOOT_ID_FIRST  -DCOUNTER_NOT_RAISED  -DWITHOUT_LOCKS  -DUNCHARGE_FIRST
 */
#define NP 2
#ifndef OPS
#define OPS 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define PAGES 2
#define EMPTY 0
#define CHARGED 1
#define PRESENT 2

byte state[PAGES], generation[PAGES], counter = 1;
byte data[PAGES];       /* 0 hole, 1 right, 2 something else: its checksum does not agree */
byte owner[PAGES];
byte used;
bool today;             /* whether the pair has this boot's id */
byte crashes, ended;
#define ALLOCATED ((data[0] != 0) + (data[1] != 0))
#define ME (i + 1)

inline crash() {
  if
  :: crashes < CRASHES -> atomic {
       crashes++;
       if :: owner[0] == ME -> owner[0] = 0 :: else fi;
       if :: owner[1] == ME -> owner[1] = 0 :: else fi
     }
     goto dead
  :: true
  fi
}

inline release() { atomic { if :: owner[0] == ME -> owner[0] = 0 :: else fi; if :: owner[1] == ME -> owner[1] = 0 :: else fi } }

proctype Process(byte i) {
  byte n, p, s, g, half1, half2, charged, owed, verified[PAGES];
  bool ok;
  do
  :: n < OPS -> n++; if :: p = 0 :: p = 1 fi;
     if
     :: true ->                                         /* read: check, or copy what was checked */
        atomic { s = state[p]; g = generation[p] }
        if
        :: s == PRESENT && verified[p] != g ->
           half1 = data[p];
           atomic { if :: half1 == 1 && state[p] == PRESENT && generation[p] == g -> verified[p] = g :: else fi }
        :: s == PRESENT && verified[p] == g ->
           half1 = data[p]; half2 = data[p];
           atomic { if :: state[p] == PRESENT && generation[p] == g -> assert(half1 == 1 && half2 == 1) :: else fi }
        :: else
        fi
     :: today ->                                        /* fill, or evict, what is reconciled */
        if
        :: atomic { owner[p] == 0 -> owner[p] = ME };
           if
           :: state[p] == PRESENT -> state[p] = CHARGED; crash(); data[p] = 0; crash(); state[p] = EMPTY; crash(); used--
           :: else ->
              if :: state[p] == EMPTY -> used++; crash(); state[p] = CHARGED :: else fi;
              crash(); data[p] = 2; crash(); data[p] = 1; crash();
              atomic { generation[p] = counter; counter++; state[p] = PRESENT }
           fi;
           release()
        :: else
        fi
     :: !today ->                                       /* reconcile */
#ifdef WITHOUT_LOCKS
        ok = 1;
#else
        atomic { if :: owner[0] == 0 && owner[1] == 0 -> owner[0] = ME; owner[1] = ME; ok = 1 :: else -> ok = 0 fi };
#endif
        if
        :: ok && !today ->
           charged = ALLOCATED;
#ifdef BOOT_ID_FIRST
           today = 1; crash();
#endif
#ifdef UNCHARGE_FIRST
           atomic {
             owed = (state[0] == PRESENT && data[0] != 0) + (state[1] == PRESENT && data[1] != 0);
             used = used - (charged - owed)
           };
           crash();
#endif
           p = 0;
           do
           :: p < PAGES ->
              if
              :: state[p] == PRESENT && data[p] != 0
              :: else ->
                 if :: state[p] != EMPTY -> state[p] = CHARGED :: else fi;
                 crash(); data[p] = 0; crash(); state[p] = EMPTY
              fi;
#ifndef COUNTER_NOT_RAISED
              atomic { if :: counter <= generation[p] -> counter = generation[p] + 1 :: else fi };
#endif
              crash(); p++
           :: else -> break
           od;
           owed = (state[0] != EMPTY) + (state[1] != EMPTY);
           p = 0;
           if :: owed > charged -> used = used + (owed - charged) :: else fi;
           crash();
#ifndef BOOT_ID_FIRST
           today = 1; crash();
#endif
#ifndef UNCHARGE_FIRST
           if :: owed < charged -> atomic { used = used - (charged - owed) } :: else fi;
#endif
           crash()
        :: else
        fi;
        release()
     fi;
     assert(used >= ALLOCATED)
  :: n >= OPS -> break
  od;
dead:
  atomic {
    ended++;
    if
    :: ended == NP ->
       assert(used >= ALLOCATED);
       assert(!today || ((state[0] != EMPTY || data[0] == 0) && (state[1] != EMPTY || data[1] == 0)))
    :: else
    fi
  }
}

init {
  byte p;
  atomic {                                              /* any state that a power cut may leave */
    do
    :: p < PAGES ->
       if :: state[p] = EMPTY :: state[p] = CHARGED :: state[p] = PRESENT; generation[p] = 1 + p fi;
       if :: data[p] = 0 :: data[p] = 1 :: data[p] = 2 fi;
       p++
    :: else -> break
    od;
    used = ALLOCATED;                                   /* as the first recount after the start counts it */
    run Process(0); run Process(1)
  }
}
