/* Deleting a pair that nobody works on: *live* is held shared by whoever does, and tried exclusively, on a descriptor of
 * its own, by whoever deletes. Processes die at any step.
 *
 * Promise:   what is charged is never less than what is allocated, also in files that have lost their names but are open;
 *            and nobody goes on to fill such a file.
 * It can fail: -DNO_NAME_CHECK  -DUNCHARGE_FIRST  -DOWN_DESCRIPTOR  -DWITHOUT_LIVE
 */
#define NP 2
#ifndef OPS
#define OPS 3
#endif

bool named = 1;         /* whether the file has its name; it is never made anew here */
byte blocks = 1;        /* what the file takes, while it has a name or somebody has it open */
byte used = 1;
byte live[NP];          /* descriptors of each process that hold live, shared */
byte descriptors;       /* all of the file */
byte exclusive;         /* who holds live exclusively: process + 1 */
byte crashes, ended;
#define ME (i + 1)
#define OTHER (1 - i)
#define ALLOCATED (blocks * (named || descriptors > 0))

inline crash() {
  if
  :: crashes < 1 -> atomic {
       crashes++; descriptors = descriptors - mine; live[i] = 0;
       if :: exclusive == ME -> exclusive = 0 :: else fi
     }
     goto dead
  :: true
  fi
}

inline shut() { atomic { descriptors--; mine--; live[i] = 0 } }

active [NP] proctype Process() {
  byte n, i = _pid, mine, charge; bool ok;
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
     :: mine == 1 -> used++; crash(); assert(named); blocks++; crash()     /* fill */
     :: mine == 1 -> shut()
     :: true ->                                         /* delete */
        ok = 0;
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
        if
        :: ok && named -> charge = blocks;
#ifdef UNCHARGE_FIRST
           used = used - charge; crash(); named = 0;
#else
           named = 0; crash();
           /* Who has opened it meanwhile finds that it has no name, and closes; its blocks are there until then. (The
            * program gives the charge back at once: what it opens before it looks is the index, for an instant.) */
           if :: ALLOCATED == 0 -> used = used - charge :: else fi;
#endif
           crash()
        :: else
        fi;
        atomic { if :: exclusive == ME -> exclusive = 0 :: else fi }
     fi;
     assert(used >= ALLOCATED)
  :: n >= OPS -> break
  od;
  if :: mine == 1 -> shut() :: else fi;
dead:
  atomic { ended++; if :: ended == NP -> assert(used >= ALLOCATED) :: else fi }
}
