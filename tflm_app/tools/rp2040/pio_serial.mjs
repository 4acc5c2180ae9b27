// SPDX-License-Identifier: Apache-2.0
// The pins of a UART that is made of PIO, and PIO's time.
//
// rp2040js runs PIO from a timer of its own, without its dividers and delays. Here both machines follow
// the chip's clock, bit by bit, so that a run repeats exactly.

const BITS = 10; // start, eight, stop
const LOW = 0; // of rp2040js's states of a pin; the others are high, or pulled up by the far end

export class PioSerial {
  // onByte(byte): what the chip has sent on `txPin`. baud: of whoever is at the other end.
  constructor(mcu, { txPin, rxPin, baud, onByte }) {
    this.mcu = mcu;
    this.pio = mcu.pio[0];
    this.pio.run = () => {};
    this.machines = [0, 1].map((index) => ({ machine: this.pio.machines[index], nanos: 0 }));
    this.bitNanos = 1e9 / baud;
    this.onByte = onByte;
    this.rx = mcu.gpio[rxPin];
    this.rx.setInputValue(true);
    this.edges = []; // {nanos, level} to come on the chip's receiver
    this.lineFree = 0;
    this.nanos = 0;
    this.frame = null; // what is being sent: [{nanos, level}]
    mcu.gpio[txPin].addListener((value) => this.#sentEdge(value === LOW ? 0 : 1));
  }

  // A byte begins to arrive at the receiver, behind those before it.
  feed(byte, nanos) {
    let at = Math.max(nanos, this.lineFree);
    const levels = [0, ...Array.from({ length: 8 }, (_, bit) => (byte >> bit) & 1), 1];
    for (const level of levels) {
      this.edges.push({ nanos: at, level });
      at += this.bitNanos;
    }
    this.lineFree = at;
  }

  // Whether nothing will happen here before the chip does something.
  get isIdle() {
    return !this.edges.length && !this.frame && this.machines.every(({ machine }) => machine.waiting || !machine.enabled);
  }

  advance(nanos) {
    while (this.edges.length && this.edges[0].nanos <= nanos) {
      const edge = this.edges.shift();
      this.#runTo(edge.nanos);
      this.rx.setInputValue(edge.level === 1);
    }
    this.#runTo(nanos);
    this.#endFrame(nanos);
  }

  #runTo(nanos) {
    for (const timed of this.machines) {
      const { machine } = timed;
      if (!machine.enabled) {
        timed.nanos = nanos;
        continue;
      }
      const cycleNanos = (1e9 / this.mcu.clkSys) * (machine.clockDivInt + machine.clockDivFrac / 256);
      while (timed.nanos <= nanos) {
        if (machine.waiting) machine.checkWait();
        if (machine.waiting) {
          timed.nanos = nanos;
          break;
        }
        const before = machine.cycles;
        this.nanos = timed.nanos;
        machine.step();
        this.pio.checkChangedPins();
        timed.nanos += (machine.cycles - before) * cycleNanos;
      }
    }
  }

  #sentEdge(level) {
    this.#endFrame(this.nanos);
    if (this.frame) this.frame.push({ nanos: this.nanos, level });
    else if (level === 0) this.frame = [{ nanos: this.nanos, level }];
  }

  // Reads a frame in the middle of its bits once its stop bit has begun.
  #endFrame(nanos) {
    const frame = this.frame;
    if (!frame || nanos < frame[0].nanos + (BITS - 0.5) * this.bitNanos) return;
    let byte = 0;
    for (let bit = 0; bit < 8; bit++) {
      const middle = frame[0].nanos + (bit + 1.5) * this.bitNanos;
      byte |= frame.findLast((edge) => edge.nanos <= middle).level << bit;
    }
    this.frame = null;
    this.onByte(byte);
  }
}
