/* The blocks of an index: charged, allocated, marked, in this order, in a section; given back only while nobody is in
 * one, by whoever counts or by an evictor. Processes die at any step, and a full disk gives no block, or a part of one.
 *
 * Promise:   nobody stores into a block that is not allocated (that would be a signal); what is charged is never less
 *            than what is allocated; and if it is more in the end, a recount is wanted, or a death in a section was noted.
 * It can fail: -DMARK_FIRST  -DALLOCATE_FIRST  -DLOOK_OUTSIDE  -DTRUST_MARKS  -DGIVE_BACK_IN_SECTION  -DUNCHARGE_FIRST
 *            -DRETURN_UNSAID  -DUNCHARGE_BEFORE_RETURN  -DRETURN_IN_USE
 */
#define NP 3
#ifndef OPS
#define OPS 2
#endif

bool marked, allocated, word;   /* one block, and whether a word of it is not EMPTY */
byte used;
byte owner;             /* the lock of the block: process + 1 */
byte section;           /* processes in a section, a bit each */
byte recounting;        /* process + 1 */
bool wanted, noted;     /* a recount: somebody asked for it, or somebody died in a section */
byte crashes, ended;
#define ME (i + 1)
#define BIT (1 << i)

inline crash() {
  if
  :: crashes < 1 -> atomic {
       crashes++;
       if :: owner == ME -> owner = 0 :: else fi;
       if :: section & BIT -> noted = 1 :: else fi;
       section = section & ~BIT;
       if :: recounting == ME -> recounting = 0 :: else fi
     }
     goto dead
  :: true
  fi
}

inline enter(ok) { atomic { if :: recounting == 0 -> section = section | BIT; ok = 1 :: else -> ok = 0 fi } }
inline leave()   { section = section & ~BIT }

active [NP] proctype Process() {
  byte n, i = _pid; bool ok, ready, before;
  do
  :: n < OPS -> n++;
     if
     :: true ->                                         /* fill */
        ready = 0;
#ifdef LOOK_OUTSIDE
        ready = marked;
#endif
        enter(ok);
        if
        :: ok ->
#ifndef LOOK_OUTSIDE
           ready = marked;
#endif
           if
           :: !ready ->
              if
              :: atomic { owner == 0 -> owner = ME };
                 if
                 :: !marked ->
#ifdef ALLOCATE_FIRST
                    allocated = 1; crash(); used++; crash(); marked = 1;
#else
                    used++; crash();
#ifdef MARK_FIRST
                    marked = 1; crash(); allocated = 1;
#else
                    if
                    :: allocated = 1; crash(); marked = 1
                    :: if :: allocated = 1; crash() :: true fi;   /* the disk is full */
#ifdef UNCHARGE_FIRST
                       used--; crash(); allocated = 0
#else
                       allocated = 0; crash(); used--
#endif
                    fi;
#endif
#endif
                    crash()
                 :: else
                 fi;
                 ready = marked; owner = 0
              :: else
              fi
           :: else
           fi;
           if :: ready -> assert(allocated); word = 1 :: else fi;
           crash();
           leave()
        :: else
        fi
     :: true -> enter(ok); if :: ok -> word = 0; leave() :: else fi        /* the last page of the block is evicted */
#ifdef GIVE_BACK_IN_SECTION
     :: true -> enter(ok);
        if :: ok -> if :: !word && marked -> marked = 0; crash(); allocated = 0; used-- :: else fi; leave() :: else fi
#endif
     :: true ->                                         /* recount */
        if
        :: atomic { section == 0 && recounting == 0 -> recounting = ME };
           wanted = 1; crash();
           if :: !word -> marked = 0 :: else fi;
           crash();
#ifndef TRUST_MARKS
           if :: !marked -> allocated = 0 :: else fi;
           crash();
#endif
           used = marked; crash(); noted = 0; crash(); wanted = 0;
           recounting = 0
        :: else
        fi
     :: true ->                                         /* an evictor gives blocks back */
        if
        :: atomic { section == 0 && recounting == 0 -> recounting = ME };
           before = wanted;
#ifndef RETURN_UNSAID
           wanted = 1; crash();
#endif
           if
#ifdef RETURN_IN_USE
           :: marked ->
#else
           :: marked && !word ->
#endif
#ifdef UNCHARGE_BEFORE_RETURN
              used--; crash(); marked = 0; crash(); allocated = 0; crash();
#else
              marked = 0; crash(); allocated = 0; crash(); used--; crash();
#endif
           :: else
           fi;
#ifndef RETURN_UNSAID
           wanted = before;
#endif
           recounting = 0
        :: else
        fi
     fi;
     assert(used >= allocated)
  :: n >= OPS -> break
  od;
dead:
  atomic {
    ended++;
    if
    :: ended == NP -> assert(used >= allocated && (!word || marked)); assert(used == allocated || wanted || noted)
    :: else
    fi
  }
}
