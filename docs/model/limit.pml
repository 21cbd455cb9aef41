/* The limit goes down while others store: openers that lower it, evict what is beyond it, and take it back if that cannot
 * go, one of which may be killed at any step; and fillers that look at the limit, charge, and look again.
 *
 * Promise:   from when an opener has returned no more is on the disk than its limit allows, until another one has
 *            returned; and when all are done, the limit is that of the last one who was not refused, or what one that was
 *            killed had set.
 * It can fail: -DNO_SECOND_LOOK  -DSECOND_LOOK_FIRST  -DCHARGE_SEEN_FIRST  -DNO_LOCK  -DNOT_TAKEN_BACK
 * Not modelled: what makes room for a filler; page_entry.pml has that.
 */
#ifndef OPS
#define OPS 2           /* pages that each filler would store */
#endif
#define FIRST 3         /* the limit in the beginning, in pages */
#define KEPT 1          /* of the pages that are stored then so many cannot go */

byte limit = FIRST, used = 2;
byte blocks = 2;        /* what is on the disk */
byte holds = FIRST;     /* the limit by which others count on it */
byte lock;              /* the byte of control on which openers exclude each other; the kernel drops it with its holder */
byte killed = 255;      /* what one that was killed had set */
byte ended;

inline end() {
  atomic {
    ended++;
    if :: ended == 5 -> assert(limit == holds || limit == killed) :: else fi
  }
}

inline crash() {
  if
  :: killed == 255 -> atomic { killed = limit; if :: lock == _pid -> lock = 0 :: else fi }; goto dead
  :: true
  fi
}

proctype Opener(byte own) {
  byte before, seen;
  bit went = 1;
#ifndef NO_LOCK
  if
  :: atomic { lock == 0 -> lock = _pid }
  :: lock != 0 -> goto dead                     /* it has waited for long enough, and is refused */
  fi;
#endif
  before = limit;
#ifdef CHARGE_SEEN_FIRST
  seen = used;
#endif
  limit = own;
  crash();
#ifndef CHARGE_SEEN_FIRST
  seen = used;
#endif
  do
  :: seen > own && went ->
     if
     :: atomic { blocks > KEPT -> blocks-- }; crash(); used--
     :: else -> went = 0
     fi;
     seen = used
  :: else -> break
  od;
  if
  :: seen <= own -> atomic { holds = own; assert(blocks <= holds) }
  :: else ->
#ifndef NOT_TAKEN_BACK
     atomic { if :: limit == own -> limit = before :: else fi }
#endif
  fi;
  if :: lock == _pid -> lock = 0 :: else fi;
dead:
  end()
}

proctype Filler() {
  byte n, seen, sum;
  do
  :: n < OPS -> n++;
     seen = limit;
#ifdef SECOND_LOOK_FIRST
     seen = limit;
#endif
     if
     :: atomic { used < seen -> used++; sum = used };
#if !defined(NO_SECOND_LOOK) && !defined(SECOND_LOOK_FIRST)
        if
        :: limit < sum -> used--                /* it was lowered meanwhile: nothing is stored */
        :: else -> atomic { blocks++; assert(blocks <= holds) }
        fi
#else
        atomic { blocks++; assert(blocks <= holds) }
#endif
     :: else
     fi
  :: n >= OPS -> break
  od;
  end()
}

init { atomic { run Opener(0); run Opener(0); run Opener(1); run Filler(); run Filler() } }
