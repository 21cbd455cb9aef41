/* The page cache's entry protocol, as `docs/architecture.md` tells it: copy-read, fill, evict, recount, crashes.
 *
 * Check:     spin -a -DNP=2 -DOPS=3 page_entry.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m200000 -w26
 *            exhaustive, about 22 million states, "errors: 0".
 *            `cargo xtask model` does this, and all that follows.
 * It can fail: each of these switches breaks one rule and must give an error:
 *            -DNO_RECHECK  -DPUNCH_FIRST  -DREUSE_GENERATION (with -DOPS=4 -DCRASHES=0)  -DEVICT_WITHOUT_LOCK
 *            -DUNCHARGE_FIRST  -DRECOUNT_LIVE  -DNO_CHARGED_STATE
 * Not modelled: weak memory order, power cuts, more than two pages, several threads of a process (sections and
 *            live are counted there), waiting, index blocks, versions.
 */
#ifndef NP
#define NP 2            /* processes */
#endif
#ifndef OPS
#define OPS 3           /* operations of each */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define PAGES 2
#define LIMIT 1         /* room for one page: filling one must evict the other */
#define EMPTY 0
#define CHARGED 1
#define PRESENT 2

byte state[PAGES], generation[PAGES], counter = 1;
byte data[PAGES];       /* 0 hole, 2 half written, 1 right */
byte owner[PAGES];      /* exclusive page lock: process + 1 */
byte fetching[PAGES];   /* requests under way to the origin */
byte used;              /* pages charged */
byte section;           /* processes inside a budget section, a bit each */
byte recounting;        /* exclusive budget lock: process + 1 */
byte crashes, ended;
#define ALLOCATED ((data[0] != 0) + (data[1] != 0))
#define ME (i + 1)
#define BIT (1 << i)

inline crash() {        /* the kernel drops every lock of the dead */
  if
  :: crashes < CRASHES -> atomic {
       crashes++;
       if :: owner[0] == ME -> owner[0] = 0 :: else fi;
       if :: owner[1] == ME -> owner[1] = 0 :: else fi;
       section = section & ~BIT;
       if :: recounting == ME -> recounting = 0 :: else fi;
       if :: in_fetch < PAGES -> fetching[in_fetch]--; in_fetch = PAGES :: else fi
     }
     goto dead
  :: true
  fi
}

inline enter_section(ok) { if :: atomic { recounting == 0 -> section = section | BIT; ok = 1 } :: else -> ok = 0 fi }
inline leave_section()   { section = section & ~BIT }

inline evict(q, ok) {
  ok = 0;
  if
#ifdef EVICT_WITHOUT_LOCK
  :: atomic { owner[q] == 0 -> skip }
#else
  :: atomic { owner[q] == 0 -> owner[q] = ME }
#endif
     if
     :: state[q] != EMPTY ->
#ifdef NO_CHARGED_STATE
        if :: state[q] == PRESENT -> state[q] = EMPTY; crash(); data[q] = 0; crash(); used--; ok = 1 :: else fi
#else
#ifdef PUNCH_FIRST
        data[q] = 0; crash(); state[q] = CHARGED;
#else
        state[q] = CHARGED; crash(); data[q] = 0;
#endif
        crash();
#ifdef UNCHARGE_FIRST
        used--; crash(); state[q] = EMPTY;
#else
        state[q] = EMPTY; crash(); used--;
#endif
        ok = 1
#endif
     :: else
     fi;
     if :: owner[q] == ME -> owner[q] = 0 :: else fi
  :: else
  fi
}

active [NP] proctype Process() {
  byte n, p, ok, room, s, g, half1, half2, n_left, in_fetch = PAGES, i = _pid;
  do
  :: n < OPS -> n++; if :: p = 0 :: p = 1 fi;
     if
     :: true ->                                         /* read: copy in two halves, then look again */
        atomic { s = state[p]; g = generation[p] }
        if
        :: s == PRESENT -> half1 = data[p]; half2 = data[p];
#ifdef NO_RECHECK
           assert(half1 == 1 && half2 == 1)
#else
           if :: atomic { state[p] == PRESENT && generation[p] == g } -> assert(half1 == 1 && half2 == 1) :: else fi
#endif
        :: else
        fi
     :: true ->                                         /* fill */
        if
        :: atomic { owner[p] == 0 -> owner[p] = ME };
           if
           :: state[p] == PRESENT
           :: else ->
              atomic { fetching[p]++; in_fetch = p; assert(fetching[p] == 1) };
              crash();
              atomic { fetching[p]--; in_fetch = PAGES };
              enter_section(ok);
              if
              :: !ok                                    /* a recount is going on: serve without storing */
              :: ok ->
                 if
#ifndef NO_CHARGED_STATE
                 :: state[p] == CHARGED -> room = 1     /* left by the dead: already charged */
#endif
                 :: else ->
                    if
                    :: atomic { used < LIMIT -> used++; room = 1 }
                    :: else -> evict(1 - p, ok);
                       if :: atomic { ok && used < LIMIT -> used++; room = 1 } :: else -> room = 0 fi
                    fi;
                    crash();
#ifndef NO_CHARGED_STATE
                    if :: room -> state[p] = CHARGED :: else fi
#endif
                 fi;
                 if
                 :: room -> crash(); data[p] = 2; assert(ALLOCATED <= LIMIT); crash(); data[p] = 1; crash();
#ifdef REUSE_GENERATION
                    atomic { generation[p] = 1; state[p] = PRESENT }
#else
                    atomic { generation[p] = counter; counter++; state[p] = PRESENT }
#endif
                 :: else
                 fi;
                 leave_section()
              fi
           fi;
           if :: owner[p] == ME -> owner[p] = 0 :: else fi
        :: else
        fi
     :: true ->                                         /* evict in the background */
        enter_section(ok); if :: ok -> evict(p, room); leave_section() :: else fi
     :: true ->                                         /* recount, others alive */
#ifdef RECOUNT_LIVE
        s = ALLOCATED; used = s
#else
        if
        :: atomic { section == 0 && recounting == 0 -> recounting = ME };
           n_left = 0;
           do                                           /* what the dead left is given back, under its lock */
           :: n_left < PAGES ->
              if
              :: atomic { owner[n_left] == 0 -> owner[n_left] = ME };
                 if :: state[n_left] == CHARGED -> data[n_left] = 0; crash(); state[n_left] = EMPTY :: else fi;
                 crash();
                 if :: owner[n_left] == ME -> owner[n_left] = 0 :: else fi
              :: else
              fi;
              n_left++
           :: else -> break
           od;
           s = (state[0] != EMPTY) + (state[1] != EMPTY); crash(); used = s; recounting = 0
        :: else
        fi
#endif
     fi
  :: n >= OPS -> break
  od;
dead:
  atomic { ended++; if :: ended == NP -> assert(used >= ALLOCATED) :: else fi }
}
