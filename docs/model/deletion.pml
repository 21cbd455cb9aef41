/* Deleting a pair that nobody works on: *live* is held shared by whoever does, and tried exclusively, on a descriptor of
 * its own, by whoever deletes. Whoever makes a pair agree with itself after a restart works on it too, and changes what
 * it is charged. What an evictor has emptied, or has chosen to go as a whole, goes with its head, which whoever opens a
 * newer version replaces. Processes die at any step; and may have a child that keeps their descriptors, and not their
 * locks.
 *
 * Promise:   what is charged is never less than what is allocated, also in files that have lost their names but are open;
 *            once nobody is at it, it is no more either, but for what the dead left; nobody goes on to fill such a file;
 *            nothing that is stored is taken for nothing; and the head of a newer version stays.
 * It can fail: -DNO_NAME_CHECK  -DUNCHARGE_FIRST  -DOWN_DESCRIPTOR  -DWITHOUT_LIVE  -DCOUNT_BEFORE_LIVE  -DNOT_FREED
 *            -DEMPTY_BEFORE_LIVE  -DHEAD_WITHOUT_KEY
 */
#define NP 2
#ifndef OPS
#define OPS 3
#endif

bool named = 1;         /* whether the file has its name; it is never made anew here */
short blocks = 2;       /* what the file takes, while it has a name or somebody has it open */
short vouched = 1;      /* how many of them a word speaks of */
bool reconciled;        /* until then it is charged what it takes, then what its words speak of */
short used = 2;
byte live[NP];          /* descriptors of each process that hold live, shared */
byte descriptors;       /* all of the file */
byte exclusive;         /* who holds live exclusively: process + 1 */
byte head = 1;          /* what the head of the key names: 0 nothing, 1 this pair, 2 that of a newer version */
byte key;               /* who has the lock of the key: process + 1 */
bool begun;
byte crashes, forks, ended;
#define ME (i + 1)
#define OTHER (1 - i)
#define ALLOCATED (blocks * (named || descriptors > 0))
#define CHARGE (reconciled -> vouched : blocks)

inline crash() {
  if
  :: crashes < 1 -> atomic {
       crashes++; descriptors = descriptors - mine; live[i] = 0;
       if :: exclusive == ME -> exclusive = 0 :: else fi;
       if :: key == ME -> key = 0 :: else fi
     }
     goto dead
  :: true
  fi
}

inline shut() { atomic { descriptors--; mine--; live[i] = 0 } }

active [NP] proctype Process() {
  byte n, i = _pid, mine; short charge; bool ok, emptied, chosen, hollow;
  atomic {                                              /* as found after a restart, or with nothing left in it */
    if :: !begun -> begun = 1; if :: true :: reconciled = 1; blocks = 0; vouched = 0; used = 0 fi :: else fi
  };
  do
  :: n < OPS -> n++;
     if
     :: mine == 0 ->                                    /* open */
        atomic { if :: named -> descriptors++; mine++; ok = 1 :: else -> ok = 0 fi };
        if
        :: ok -> crash();
           atomic { if :: exclusive == 0 -> live[i] = 1 :: else -> ok = 0 fi };
           crash();
#ifndef NO_NAME_CHECK
           if :: !named -> ok = 0 :: else fi;
#endif
           if :: !ok -> shut() :: else fi
        :: else
        fi
     :: mine == 1 && reconciled ->                      /* fill */
        used++; crash(); assert(named); atomic { vouched++; blocks++ }; crash()
     :: mine == 1 && reconciled && vouched > 0 ->       /* evict */
        atomic { if :: vouched > 0 -> vouched--; blocks--; ok = 1 :: else -> ok = 0 fi };
        crash();
        if :: ok -> used-- :: else fi
     :: true ->                                         /* open a newer version */
        if :: atomic { key == 0 -> key = ME }; crash(); head = 2; crash(); key = 0 :: else fi
     :: mine == 1 && !reconciled ->                     /* reconcile, under the locks of all pages: one at a time */
        atomic {
          charge = blocks - vouched; blocks = vouched; reconciled = 1; assert(named)
        };
        used = used - charge; charge = 0
     :: mine == 1 && forks < 1 -> atomic { forks++; descriptors++ }        /* for ever */
     :: mine == 1 -> shut()
     :: true ->                                         /* delete: what is emptied or chosen, or what no head names */
        ok = 0; emptied = 0; chosen = 0; hollow = 1;
        if :: true -> emptied = 1 :: true -> emptied = 1; chosen = 1 :: true fi;
#ifndef HEAD_WITHOUT_KEY
        if :: emptied -> if :: atomic { key == 0 -> key = ME } :: else -> goto done fi :: else fi;
#endif
#ifdef EMPTY_BEFORE_LIVE
        if :: emptied -> hollow = ((vouched == 0 || chosen) && reconciled) :: else fi;
#endif
#ifdef COUNT_BEFORE_LIVE
        charge = CHARGE;
#endif
        atomic {
          if
#ifdef OWN_DESCRIPTOR
          :: named && exclusive == 0 && live[OTHER] == 0 -> exclusive = ME; ok = 1
#else
#ifdef WITHOUT_LIVE
          :: named -> ok = 1
#else
          :: named && exclusive == 0 && live[0] + live[1] == 0 -> exclusive = ME; ok = 1
#endif
#endif
          :: else
          fi
        };
#ifndef EMPTY_BEFORE_LIVE
        if :: emptied -> hollow = ((vouched == 0 || chosen) && reconciled) :: else fi;
#endif
        if
        :: ok && named && hollow ->
           if
           :: emptied ->
              assert(vouched == 0 || chosen);
              if :: head == 1 -> crash(); assert(head == 1); head = 0; crash() :: else fi
           :: else
           fi;
#ifndef COUNT_BEFORE_LIVE
           charge = CHARGE;
#endif
#ifdef UNCHARGE_FIRST
           used = used - charge; crash();
#endif
#ifndef NOT_FREED
           blocks = 0; crash();
#endif
           named = 0; crash();
#ifndef UNCHARGE_FIRST
           used = used - charge;
#endif
           crash()
        :: else
        fi;
done:   charge = 0; chosen = 0;
        atomic { if :: exclusive == ME -> exclusive = 0 :: else fi; if :: key == ME -> key = 0 :: else fi }
     fi;
     assert(used >= ALLOCATED)
  :: n >= OPS -> break
  od;
  if :: mine == 1 -> shut() :: else fi;
dead:
  atomic {
    ended++;
    if :: ended == NP -> assert(used >= ALLOCATED); assert(crashes > 0 || used == ALLOCATED) :: else fi
  }
}
