// SPDX-License-Identifier: Apache-2.0
// A host that has two inferences under way on two devices (docs/cluster_protocol.md, "The next
// inference") for the model checker spin: all orders of events within the bounds below.
//
//   spin -DFAULTS=1 -DRESTARTS=1 -a ahead.pml
//   cc -O2 -DSAFETY -o pan pan.c && ./pan -m100000    what is asserted; no deadlock
//   cc -O2 -DNP -o pan pan.c && ./pan -l -m100000     no run goes on for ever: the host ends
//
// Each inference has a picture, which both devices get and exchange; the host asserts that both have
// computed with the picture of that inference. Links deliver in order and once (link.pml); a FAULT stands
// for whatever goes wrong on a device or between them.
//
// Not modelled: how long things take (a wait runs out of time when nothing else can happen), pieces of a
// message, the wrap of the numbers.

#ifndef PICTURES
#define PICTURES 3  // of each life of the host
#endif
#ifndef FAULTS
#define FAULTS 1    // inferences that fail on a device
#endif
#ifndef RESTARTS
#define RESTARTS 0  // times that the host is ended and started anew
#endif
#define NONE 0      // of epochs, which begin at 1, and of pictures
#define IDLE 0
#define INPUT 1
#define GRAPH 2

mtype = { START, AHEAD, QUERY, DATA, FAULT, GRANT, OUT, INFO };

chan to_device[2] = [8] of { mtype, byte, byte };   // what, epoch, picture
chan to_host[2] = [8] of { mtype, byte, byte, byte };  // and the other device's picture
chan to_other[2] = [6] of { byte };                 // FAULT between the devices: its epoch

byte posted[2];    // inference that a device has posted its box of; NONE: none
byte box[2];       // its contents
byte taken[2];     // inference whose box a device has taken from the other
byte faults = 0, restarts = 0;
bool done = false;

proctype Device(byte me) {
  byte epoch = NONE, queued = NONE, heeded = NONE;
  byte input = NONE, mail = NONE, other = NONE;
  byte e, picture;
  byte phase = IDLE;
  bool begun = false, is_well = false, asked = false, asked_next = false;

#define ASK_NEXT if :: !asked_next && mail == NONE -> asked_next = true; \
                       to_host[me]!GRANT, epoch + 1, NONE, NONE \
                    :: else fi

#define ABORT phase = IDLE; begun = false; is_well = false; queued = NONE; \
              asked = false; asked_next = false; mail = NONE; posted[me] = NONE

// A new inference. What has come for it is moved to where the graph reads it.
#define BEGIN(n) \
  if \
  :: n == epoch + 1 && begun -> input = mail; asked = asked_next \
  :: else -> input = NONE; asked = false \
  fi; \
  mail = NONE; asked_next = false; \
  epoch = n; phase = INPUT; begun = true; is_well = true; other = NONE; \
  posted[me] = NONE; \
  if \
  :: !asked -> asked = true; to_host[me]!GRANT, epoch, NONE, NONE \
  :: else \
  fi; \
  if \
  :: queued == epoch + 1 -> ASK_NEXT \
  :: else \
  fi

  do
  :: atomic { to_device[me]?START, e, picture ->
       if
       :: e > epoch -> queued = NONE; heeded = e; BEGIN(e)
       :: else
       fi }
  :: atomic { to_device[me]?AHEAD, e, picture ->
       if
       :: epoch != NONE && e == epoch + 1 && is_well && queued == NONE ->
          queued = e; heeded = e;
          if
          :: phase != IDLE -> ASK_NEXT
          :: else
          fi
       :: queued != NONE && e == queued + 1 && is_well && phase == IDLE ->
          BEGIN(queued);  // that was about to
          queued = e; heeded = e;
          ASK_NEXT
       :: else
       fi }
  :: atomic { to_device[me]?QUERY, e, picture -> to_host[me]!INFO, heeded, NONE, NONE }
  :: atomic { to_device[me]?DATA, e, picture ->
       if
       :: !begun || e < epoch
       :: begun && e == epoch -> assert(phase == INPUT && asked && input == NONE); input = picture
       :: begun && e > epoch -> assert(e == epoch + 1 && asked_next && mail == NONE); mail = picture
       fi }
  :: atomic { to_device[me]?FAULT, e, picture ->
       if
       :: begun && e >= epoch -> ABORT
       :: else
       fi }
  :: atomic { to_other[me]?e ->
       if
       :: begun && e >= epoch -> ABORT
       :: else
       fi }
  :: atomic { phase == INPUT && input != NONE -> phase = GRAPH; box[me] = input; posted[me] = epoch }
  :: atomic { phase == GRAPH && taken[me] != epoch && posted[1 - me] == epoch ->
       other = box[1 - me]; taken[me] = epoch }
  :: atomic { phase == GRAPH && taken[me] == epoch && taken[1 - me] >= epoch ->
       phase = IDLE; to_host[me]!OUT, epoch, input, other }
  :: atomic { phase == IDLE && queued != NONE -> e = queued; queued = NONE; BEGIN(e) }
  :: atomic { phase == GRAPH && faults < FAULTS -> faults++; e = epoch; ABORT;
       to_host[me]!FAULT, e, NONE, NONE; to_other[1 - me]!e }
  :: atomic { timeout && phase != IDLE -> assert(faults + restarts > 0); e = epoch; ABORT;
       to_host[me]!FAULT, e, NONE, NONE; to_other[1 - me]!e }
  :: done -> break
  od
}

proctype Host() {
  byte last = NONE;        // number of the last inference that anybody knows of
  byte first = NONE;       // inference that is waited for; NONE: none is under way
  byte pictures[2];        // of inference `first` and of the one behind it; NONE: not begun
  byte granted[2];         // by device, bit 0: `first` is asked for, bit 1: the one behind it
  byte early[2];           // the number of a GRANT for what is not begun yet
  byte given[2];           // bits as those of `granted`
  byte outs = 0, infos = 0, next = 1, number = 0;
  byte d, e, p, q;

#define NEWEST (pictures[1] != NONE -> first + 1 : first)

#define ROLL_CALL first = NONE; pictures[0] = NONE; pictures[1] = NONE; outs = 0; infos = 0; \
                  to_device[0]!QUERY, NONE, NONE; to_device[1]!QUERY, NONE, NONE

#define LOSE(reason) atomic { if \
    :: reason < NEWEST -> to_device[0]!FAULT, first + 1, NONE; to_device[1]!FAULT, first + 1, NONE \
    :: else \
    fi; \
    if :: NEWEST > last -> last = NEWEST :: else fi; \
    next = pictures[0]; ROLL_CALL }

// Pictures of this life, from which those that failed are begun anew.
#define LAUNCH(slot, kind) last++; pictures[slot] = next; next++; \
    d = 0; do \
    :: d < 2 -> granted[d] = granted[d] & ~(1 << slot); given[d] = given[d] & ~(1 << slot); \
       if :: early[d] == last -> granted[d] = granted[d] | (1 << slot) :: else fi; \
       to_device[d]!kind, last, NONE; d++ \
    :: else -> break \
    od

  atomic { ROLL_CALL }
progress_restart:
  do
  :: infos == 3 && first == NONE && next <= (number + 1) * PICTURES ->
     atomic { LAUNCH(0, START); first = last }
  :: first != NONE && pictures[1] == NONE && next <= (number + 1) * PICTURES ->
     atomic { LAUNCH(1, AHEAD) }
  :: infos == 3 && first == NONE && next > (number + 1) * PICTURES && number == RESTARTS ->
     done = true; break
  :: infos == 3 && first == NONE && next > (number + 1) * PICTURES && number < RESTARTS ->
     atomic { number++; restarts++; last = NONE; early[0] = NONE; early[1] = NONE; ROLL_CALL }
  // The host's program ends at any time; what is on its way to it may be lost with it.
  :: number < RESTARTS && infos == 3 ->
     atomic { number++; restarts++; next = number * PICTURES + 1; last = NONE;
       early[0] = NONE; early[1] = NONE;
       d = 0;
       do
       :: len(to_host[d]) > 0 -> to_host[d]?_, _, _, _
       :: d == 0 -> d = 1
       :: d == 1 -> break
       od;
       ROLL_CALL }
  :: atomic { infos == 3 && first != NONE && (granted[0] & ~given[0] & 1) -> given[0] = given[0] | 1;
       to_device[0]!DATA, first, pictures[0] }
  :: atomic { infos == 3 && first != NONE && (granted[1] & ~given[1] & 1) -> given[1] = given[1] | 1;
       to_device[1]!DATA, first, pictures[0] }
  :: atomic { pictures[1] != NONE && (granted[0] & ~given[0] & 2) -> given[0] = given[0] | 2;
       to_device[0]!DATA, first + 1, pictures[1] }
  :: atomic { pictures[1] != NONE && (granted[1] & ~given[1] & 2) -> given[1] = given[1] | 2;
       to_device[1]!DATA, first + 1, pictures[1] }
  :: atomic {
       if
       :: to_host[0]?GRANT, e, p, q -> d = 0
       :: to_host[1]?GRANT, e, p, q -> d = 1
       fi;
       if
       :: first != NONE && e == first -> granted[d] = granted[d] | 1
       :: pictures[1] != NONE && e == first + 1 -> granted[d] = granted[d] | 2
       :: else -> if :: e > early[d] -> early[d] = e :: else fi
       fi }
  :: atomic {
       if
       :: to_host[0]?INFO, e, p, q -> d = 0
       :: to_host[1]?INFO, e, p, q -> d = 1
       fi;
       infos = infos | (1 << d);
       if :: e > last -> last = e :: else fi }
  :: atomic {
       if
       :: to_host[0]?FAULT, e, p, q
       :: to_host[1]?FAULT, e, p, q
       fi;
       if
       :: first != NONE && e >= first -> LOSE(e)
       :: else
       fi }
  :: atomic {
       if
       :: to_host[0]?OUT, e, p, q -> d = 0
       :: to_host[1]?OUT, e, p, q -> d = 1
       fi;
       if
       :: first != NONE && e == first -> assert(p == pictures[0] && q == pictures[0]);
          outs = outs | (1 << d);
       :: pictures[1] != NONE && e == first + 1 -> assert(p == pictures[1] && q == pictures[1]);
          outs = outs | (4 << d);
       :: else
       fi }
  :: atomic { (outs & 3) == 3 ->  // the one behind it is waited for now
       outs = outs >> 2;
       pictures[0] = pictures[1]; pictures[1] = NONE;
       d = 0;
       do
       :: d < 2 -> granted[d] = granted[d] >> 1; given[d] = given[d] >> 1; d++
       :: else -> break
       od;
       if
       :: pictures[0] == NONE -> first = NONE
       :: else -> first++
       fi }
  od
}

init { atomic { run Device(0); run Device(1); run Host() } }
