/* After a power cut: words, data, counter and map of a pair agree in nothing. It is reconciled before it is filled, by
 * whoever comes first, while others read it; a process dies at any step, or one fails.
 *
 * Promise:   no reader gets a wrong byte; no word stands twice; nobody stores into what is not allocated (that would be
 *            a signal); what is charged is never less than what is allocated; and once it says that it is reconciled, no
 *            block is taken of which no word speaks.
 * It can fail: -DBOOT_ID_FIRST  -DCOUNTER_NOT_RAISED  -DCOUNTER_LAST  -DCOUNT_MARKED  -DWITHOUT_LOCKS  -DUNCHARGE_FIRST
 *            -DFIXED_PART_LOST  -DALLOCATE_FIRST  -DKEEP_LOST_MARK
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
byte stood[PAGES];      /* the generations of the words that have stood there, a bit each */
bool fixed, mark, block;/* whether the map is allocated, what it says, and the one block, which has both words */
byte block_owner;
byte used;
bool today;             /* whether the pair has this boot's id */
byte crashes, ended;
#define ALLOCATED ((data[0] != 0) + (data[1] != 0) + block + fixed)
#define ME (i + 1)

inline crash() {
  if
  :: crashes < CRASHES -> atomic {
       crashes++;
       if :: owner[0] == ME -> owner[0] = 0 :: else fi;
       if :: owner[1] == ME -> owner[1] = 0 :: else fi;
       if :: block_owner == ME -> block_owner = 0 :: else fi
     }
     goto dead
  :: true
  fi
}

inline release() { atomic { if :: owner[0] == ME -> owner[0] = 0 :: else fi; if :: owner[1] == ME -> owner[1] = 0 :: else fi } }

inline store(p, word) { assert(block); state[p] = word }
inline set_mark(to)   { assert(fixed); mark = to }
inline may_fail()     { crash(); if :: crashes < CRASHES -> crashes++; goto failed :: true fi }

inline raise_counter() {
  p = 0;
  do
  :: p < PAGES ->
     atomic { if :: state[p] == PRESENT && counter <= generation[p] -> counter = generation[p] + 1 :: else fi };
     p++
  :: else -> break
  od
}

proctype Process(byte i) {
  byte n, p, s, g, half1, half2, paid, owed, verified[PAGES];
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
           :: state[p] == PRESENT ->
              store(p, CHARGED); crash(); data[p] = 0; crash(); store(p, EMPTY); crash(); used--
           :: else ->
              if
              :: !mark ->
                 if
                 :: atomic { block_owner == 0 -> block_owner = ME };
                    if :: !mark -> used++; crash(); block = 1; crash(); set_mark(1); crash() :: else fi;
                    block_owner = 0
                 :: else
                 fi
              :: else
              fi;
              if
              :: mark ->
                 if :: state[p] == EMPTY -> used++; crash(); store(p, CHARGED) :: else fi;
                 crash(); data[p] = 2; crash(); data[p] = 1; crash();
                 atomic {
                   assert(block && !(stood[p] & (1 << counter)));
                   stood[p] = stood[p] | (1 << counter);
                   generation[p] = counter; counter++; state[p] = PRESENT
                 }
              :: else
              fi
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
           paid = ALLOCATED;
#ifdef BOOT_ID_FIRST
           today = 1; crash();
#endif
#ifdef UNCHARGE_FIRST
           atomic {
             owed = 1 + mark + (mark && state[0] == PRESENT && data[0]) + (mark && state[1] == PRESENT && data[1]);
             if :: owed < paid -> used = used - (paid - owed); paid = owed :: else fi
           };
           crash();
#endif
#ifndef FIXED_PART_LOST
           if
           :: !fixed ->
#ifdef ALLOCATE_FIRST
              fixed = 1; may_fail(); used++; paid++;
#else
              atomic { used++; paid++ };
              may_fail(); fixed = 1;
#endif
              may_fail()
           :: else
           fi;
#endif
#if !defined(COUNTER_NOT_RAISED) && !defined(COUNTER_LAST)
#ifdef COUNT_MARKED
           if :: mark -> raise_counter() :: else fi;
#else
           raise_counter();
#endif
           may_fail();
#endif
#ifndef KEEP_LOST_MARK
           if :: mark && !block -> set_mark(0); may_fail() :: else fi;
#endif
           if :: !mark && block -> atomic { block = 0; state[0] = EMPTY; state[1] = EMPTY }; may_fail() :: else fi;
           p = 0;
           do
           :: p < PAGES ->
              if
              :: state[p] == PRESENT && data[p] != 0
              :: else ->
                 if :: state[p] != EMPTY -> store(p, CHARGED) :: else fi;
                 may_fail(); data[p] = 0; may_fail();
                 if :: state[p] != EMPTY -> store(p, EMPTY) :: else fi
              fi;
              may_fail(); p++
           :: else -> break
           od;
#ifdef COUNTER_LAST
           raise_counter(); may_fail();
#endif
           owed = 1 + mark + (state[0] != EMPTY) + (state[1] != EMPTY);
           if :: owed > paid -> atomic { used = used + (owed - paid); paid = owed } :: else fi;
           crash();
#ifndef BOOT_ID_FIRST
           atomic { assert(fixed && mark == block); today = 1 };
           crash();
#endif
           goto settle;
failed:    owed = ALLOCATED;                            /* whoever begins again counts what is taken then */
settle:    if :: owed < paid -> atomic { used = used - (paid - owed) } :: else fi;
           crash()
        :: else
        fi;
        release()
     fi;
     atomic { assert(used >= ALLOCATED); p = 0; s = 0; g = 0; half1 = 0; half2 = 0; paid = 0; owed = 0; ok = 0 }
  :: n >= OPS -> break
  od;
dead:
  atomic {
    ended++;
    if
    :: ended == NP ->
       assert(used >= ALLOCATED);
       assert(!today || ((state[0] != EMPTY || data[0] == 0) && (state[1] != EMPTY || data[1] == 0)));
       assert(!today || (fixed && (block || !mark)))
    :: else
    fi
  }
}

init {
  byte p;
  atomic {                                              /* any state that a power cut may leave */
    if :: true :: fixed = 1; if :: true :: mark = 1 fi fi;
    if :: true :: block = 1 fi;
    do
    :: p < PAGES ->
       if
       :: state[p] = EMPTY
       :: block -> state[p] = CHARGED
       :: block -> state[p] = PRESENT; generation[p] = 1 + p; stood[p] = 1 << generation[p]
       fi;
       if :: data[p] = 0 :: data[p] = 1 :: data[p] = 2 fi;
       p++
    :: else -> break
    od;
    used = ALLOCATED;                                   /* as the first recount after the start counts it */
    run Process(0); run Process(1)
  }
}
