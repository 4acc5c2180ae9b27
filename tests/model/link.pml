// SPDX-License-Identifier: Apache-2.0
// One direction of a link (docs/wire_format.md) for the model checker spin: sender S, receiver R, two
// wires that keep order and may lose anything. All runs are looked at, so what is asserted holds for
// every order of events within the bounds below.
//
//   spin -DLOSSES=2 -DRESETS=1 -a link.pml
//   cc -O2 -DSAFETY -o pan pan.c && ./pan -m100000    what is asserted; no deadlock
//   cc -O2 -DNP -o pan pan.c && ./pan -l -m100000     no run goes on for ever: S comes to its end
//
// Not modelled: credits that shrink (R takes everything at once), what is in frames beside numbers,
// wires that repeat or invent bytes (a CRC and the duplicates rule see to those), and how long things
// take: a POLL leaves when nothing else can happen, or because something came broken.

#ifndef FRAMES
#define FRAMES 4   // frames that S has to send
#endif
#ifndef LOSSES
#define LOSSES 2   // frames that the wires may lose or break, in all
#endif
#ifndef RESETS
#define RESETS 1   // times that each side may be reset
#endif
#define WINDOW 2   // frames outstanding: the credit
#define NUMBERS 4  // sequence numbers: at least twice the window
#define NONE 255

mtype = { HELLO, WELCOME, DATA, ACK, NAK, POLL, STATUS, BOOT, SEEN, BROKEN };

// Type; number (DATA: sequence; POLL, STATUS: of the poll; HELLO, WELCOME: session; BOOT, SEEN: times
// that R was reset); ack (HELLO, WELCOME: times that S was reset); held (WELCOME: times that R was
// reset), or DATA's payload.
chan to_r = [4] of { mtype, byte, byte, byte };
chan to_s = [4] of { mtype, byte, byte, byte };

byte losses = 0;
byte accepted = 0;  // payload of the last frame that R took
bool is_first;      // R has taken nothing of this session yet
bool done = false;
bool s_tick = false, r_tick = false;  // the timers of S and R

// Time passes only when nothing else can happen, and then for both.
active proctype Clock() {
  do
  :: timeout && !done -> s_tick = true; r_tick = true
  :: done -> break
  od
}

// Puts a frame on a wire. It may vanish, or come broken.
inline put(wire, kind, a, b, c) {
  if
  :: wire!kind, a, b, c
  :: losses < LOSSES -> losses++
  :: losses < LOSSES -> losses++; wire!BROKEN, 0, 0, 0
  fi
}

// Every write of a DATA frame is a pass and has a number, modulo 16 here: few are outstanding.
#define BEFORE(a, b) (a != b && ((b + 16 - a) % 16) < 8)

inline has_arrived(number) {
  if
  :: BEFORE(arrived, number) -> arrived = number
  :: else
  fi
}

inline find_lost() {
  i = 0;
  do
  :: i < unacked ->
     if
     :: held[(acked + i) % NUMBERS] -> has_arrived(pass[(acked + i) % NUMBERS])
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < unacked ->
     lost[(acked + i) % NUMBERS] = !held[(acked + i) % NUMBERS] &&
         BEFORE(pass[(acked + i) % NUMBERS], arrived);
     i++
  :: else -> break
  od;
  i = 0
}

inline take_acknowledgement(ack, bits) {
  count = (ack + NUMBERS - acked) % NUMBERS;
  if
  :: count <= unacked ->
     do
     :: count > 0 ->
        has_arrived(pass[acked]);
        held[acked] = false;
        lost[acked] = false;
        acked = (acked + 1) % NUMBERS;
        unacked--;
        count--
     :: else -> break
     od;
     i = 0;
     do
     :: i < unacked -> held[(acked + i) % NUMBERS] = (bits >> i) & 1; i++
     :: else -> break
     od;
     find_lost()
  :: else
  fi;
  count = 0
}

inline begin_session() {
  session++;
  is_open = false;
  unacked = 0;
  acked = 0;
  poll_due = false;
  arrived = passes;
  i = 0;
  do
  :: i < NUMBERS -> held[i] = false; lost[i] = false; pass[i] = 0; i++
  :: else -> break
  od;
  i = 0;
  hello_due = true
}

active proctype S() {
  byte session = 0, acked = 0, unacked = 0, next_payload = 1, passes = 0, arrived = 0;
  byte poll = 0, marked = 0, count = 0, i = 0, resets = 0, peer_boot = NONE, seen = NONE;
  byte number, ack, bits;
  byte pass[NUMBERS];
  byte payload[NUMBERS];
  bool held[NUMBERS], lost[NUMBERS];
  bool is_open = false, hello_due = true, poll_due = false;

  do
  // ---- What arrives ----
  :: to_s?WELCOME, number, ack, bits -> d_step {
       if
       // Another boot than that of its last HELLO: it was reset, its next HELLO puts that right.
       :: number == session && ack == resets && !is_open &&
          (peer_boot == NONE || peer_boot == bits) -> is_open = true; peer_boot = bits
       :: else
       fi }
  :: to_s?BOOT, number, ack, bits -> d_step {  // R's own HELLO, of its session towards us
       seen = number;
       if
       :: peer_boot != NONE && peer_boot != number -> begin_session()  // it was reset
       :: else
       fi;
       peer_boot = number }
  :: to_s?ACK, number, ack, bits -> atomic {
       if :: is_open -> take_acknowledgement(ack, bits) :: else fi }
  :: to_s?NAK, number, ack, bits -> atomic {
       if
       :: is_open ->
          take_acknowledgement(ack, bits);
          if :: bits == 0 && unacked > 0 -> poll_due = true :: else fi
       :: else
       fi }
  :: to_s?STATUS, number, ack, bits -> atomic {
       if
       :: is_open ->
          take_acknowledgement(ack, bits);
          if :: number == poll -> has_arrived(marked); find_lost() :: else fi
       :: else
       fi }
  :: to_s?BROKEN, number, ack, bits ->
       if :: is_open && unacked > 0 -> poll_due = true :: else fi

  // ---- What leaves ----
  :: atomic { nfull(to_r) && seen != NONE -> put(to_r, SEEN, seen, 0, 0); seen = NONE }
  :: atomic { nfull(to_r) && hello_due -> hello_due = false; put(to_r, HELLO, session, resets, 0) }
  :: atomic { nfull(to_r) && is_open && poll_due ->
       poll_due = false; poll = (poll + 1) % 8; marked = passes;
       put(to_r, POLL, poll, 0, 0) }
  :: atomic { nfull(to_r) && is_open && unacked > 0 && lost[acked] ->
       lost[acked] = false; pass[acked] = passes; passes = (passes + 1) % 16;
       put(to_r, DATA, acked, resets, payload[acked]) }
  :: atomic { nfull(to_r) && is_open && unacked > 1 && !lost[acked] && lost[(acked + 1) % NUMBERS] ->
       i = (acked + 1) % NUMBERS;
       lost[i] = false; pass[i] = passes; passes = (passes + 1) % 16;
       put(to_r, DATA, i, resets, payload[i]); i = 0 }
  :: atomic { nfull(to_r) && is_open && unacked < WINDOW && next_payload <= FRAMES &&
              !(unacked > 0 && lost[acked]) ->
       i = (acked + unacked) % NUMBERS;
       payload[i] = next_payload; pass[i] = passes; passes = (passes + 1) % 16;
       held[i] = false; lost[i] = false;
       next_payload++; unacked++;
       put(to_r, DATA, i, resets, payload[i]); i = 0 }

  // ---- Time, and what else may happen ----
  :: s_tick -> s_tick = false;
       if
       :: !is_open -> hello_due = true
       :: is_open && unacked > 0 -> poll_due = true
       :: is_open && unacked == 0 && next_payload > FRAMES -> done = true; break
       :: is_open && unacked == 0 && next_payload <= FRAMES -> skip  // it is about to send
       fi
  :: atomic { resets < RESETS -> resets++; peer_boot = NONE; seen = NONE; session = 0; passes = 0;
       begin_session() }
  od
}

active proctype R() {
  byte expected = 0, session = NONE, peer_boot = NONE, resets = 0, number, ack, bits, i = 0;
  byte kept[NUMBERS];  // payload, 0: none
  byte status = NONE;
  bool is_open = false, ack_due = false, nak_due = false, welcome_due = false;
  bool boot_due = true, is_known = false;

  do
  :: to_r?HELLO, number, ack, bits -> atomic {
       if
       :: !is_open || peer_boot != ack || session != number ->
          is_open = true; peer_boot = ack; session = number; expected = 0; is_first = true;
          nak_due = false; status = NONE;
          kept[0] = 0; kept[1] = 0; kept[2] = 0; kept[3] = 0
       :: else
       fi;
       welcome_due = true }
  :: to_r?SEEN, number, ack, bits ->
       if :: number == resets -> is_known = true; boot_due = false :: else fi
  :: to_r?DATA, number, ack, bits -> atomic {
       if
       :: !is_open
       :: is_open && number == expected ->
          do
          :: // in order, once; only a new session may leave something out
             assert(bits == accepted + 1 || (is_first && bits > accepted));
             accepted = bits; is_first = false;
             kept[expected] = 0;
             expected = (expected + 1) % NUMBERS;
             if
             :: kept[expected] != 0 -> bits = kept[expected]
             :: else -> break
             fi
          od;
          ack_due = true
       :: is_open && number == (expected + 1) % NUMBERS ->
          kept[number] = bits; nak_due = true
       :: is_open && number != expected && number != (expected + 1) % NUMBERS ->
          ack_due = true  // a duplicate
       fi }
  :: to_r?POLL, number, ack, bits -> if :: is_open -> status = number :: else fi
  :: to_r?BROKEN, number, ack, bits -> if :: is_open -> nak_due = true :: else fi

  :: atomic { nfull(to_s) && boot_due && !is_known -> boot_due = false; put(to_s, BOOT, resets, 0, 0) }
  :: atomic { nfull(to_s) && welcome_due -> welcome_due = false; put(to_s, WELCOME, session, peer_boot, resets) }
  :: atomic { nfull(to_s) && is_open && status != NONE -> number = status; status = NONE;
       bits = (kept[(expected + 1) % NUMBERS] != 0) << 1;
       put(to_s, STATUS, number, expected, bits) }
  :: atomic { nfull(to_s) && is_open && nak_due && status == NONE -> nak_due = false;
       bits = (kept[(expected + 1) % NUMBERS] != 0) << 1;
       put(to_s, NAK, 0, expected, bits) }
  :: atomic { nfull(to_s) && is_open && ack_due && !nak_due && status == NONE -> ack_due = false;
       bits = (kept[(expected + 1) % NUMBERS] != 0) << 1;
       put(to_s, ACK, 0, expected, bits) }

  :: r_tick -> r_tick = false; boot_due = !is_known
  :: done && empty(to_r) -> break
  :: atomic { resets < RESETS -> resets++; is_open = false; session = NONE; peer_boot = NONE;
       expected = 0; ack_due = false; nak_due = false; welcome_due = false; status = NONE;
       kept[0] = 0; kept[1] = 0; kept[2] = 0; kept[3] = 0; boot_due = true; is_known = false }
  od
}
