// SPDX-License-Identifier: Apache-2.0
// One RP2040 with a program in its flash: its time, its UARTs, and the answers to semihosting.

import { PioSerial } from "./pio_serial.mjs";
import { BootRom } from "./boot_rom.mjs";
import { loadFlash } from "./elf.mjs";

const BOOT2 = 0x10000000;
const SRAM = 0x20000000;
const ENDLESS = [0xfe, 0xe7]; // `b .`
const WATCHDOG = 0x40058;
const STEPS = 32; // instructions between two looks at what has arrived
const SEMIHOSTING = 0xab;
const [WRITE0, CLOCK, TIME, GET_COMMAND_LINE, EXIT] = [0x04, 0x10, 0x11, 0x15, 0x20];
export const HOST = { txPin: 4, rxPin: 5, baud: 921600 };

export class Chip {
  // image: an ELF file's bytes. commandLine: the program's arguments. seconds(): of a calendar.
  // onUart(index, byte), onHost(byte): what was sent. onText(text): semihosting's output.
  // holdsBack: a byte waits while a UART's FIFO is full, instead of being lost as on a chip.
  constructor(RP2040, image, { commandLine, seconds, onUart, onHost, onText, holdsBack }) {
    Object.assign(this, { RP2040, image, commandLine, seconds, onUart, onHost, onText, holdsBack });
    this.exitCode = null;
    this.instructions = 0;
    this.lostBytes = 0;
    this.boot(new Uint8Array(0));
  }

  // Power, the reset button, or the watchdog: RAM keeps what it held. reason: of the watchdog's register.
  boot(sram = this.mcu.sram, reason = 0) {
    const mcu = new this.RP2040();
    mcu.clock.nanosCounter = this.mcu?.clock.nanos ?? 0; // time goes on
    this.bittenBy = 0;
    const watchdog = mcu.peripherals[WATCHDOG];
    watchdog.reason = reason;
    watchdog.onWatchdogTrigger = () => {
      this.bittenBy = watchdog.reason;
      watchdog.alarm.enable = false; // it would come again at once, for ever
    };
    mcu.logger = { debug() {}, info() {}, warn() {}, error: (name, text) => this.onText(`${name}: ${text}\n`) };
    mcu.sram.set(sram);
    if (this.mcu) mcu.flash.set(this.mcu.flash); // what the program wrote there
    this.rom = new BootRom(mcu);
    loadFlash(this.image, mcu.flash);
    mcu.core.PC = BOOT2;
    mcu.onBreak = (code) => this.#semihosting(code);
    this.arriving = [[], []]; // {nanos, byte} for each UART, in order
    for (const index of [0, 1]) mcu.uart[index].onByte = (byte) => this.onUart(index, byte);
    this.host = new PioSerial(mcu, { ...HOST, onByte: (byte) => this.onHost(byte) });
    this.cycleNanos = 1e9 / mcu.clkSys;
    mcu.addClockListener((hz) => (this.cycleNanos = 1e9 / hz));
    this.mcu = mcu;
  }

  // The program gets no further: a branch to itself where it just is, until a reset loads it anew.
  hang() {
    const { core, flash, sram } = this.mcu;
    const at = core.PC & 0xffffff;
    (core.PC < SRAM ? flash : sram).set(ENDLESS, at);
    core.waiting = false;
  }

  get nanos() {
    return this.mcu.clock.nanos;
  }

  // How long a UART takes for a character: ten bits.
  characterNanos(index) {
    return 1e10 / this.mcu.uart[index].baudRate;
  }

  // A byte is complete at a UART's receiver at that time.
  arrive(index, byte, nanos) {
    this.arriving[index].push({ nanos, byte });
  }

  // Whether the processor sleeps until something arrives or an alarm comes.
  get isAsleep() {
    const { core } = this.mcu;
    return core.waiting && !(core.pendingInterrupts & core.enabledInterrupts) && this.host.isIdle;
  }

  // Until then, or the program's end. stopsAsleep: no further than to where the processor sleeps.
  run(untilNanos, stopsAsleep = false) {
    while (this.nanos < untilNanos && this.exitCode === null) {
      if (this.bittenBy) this.boot(this.mcu.sram, this.bittenBy);
      const { clock, core } = this.mcu;
      this.#receive();
      this.host.advance(clock.nanos);
      if (core.waiting && core.pendingInterrupts & core.enabledInterrupts) {
        core.waiting = false; // one that came before WFI: rp2040js sleeps through it
        core.interruptsUpdated = true;
      }
      if (core.waiting) {
        if (stopsAsleep && this.isAsleep && !this.arriving.some((queue) => queue.length)) return;
        this.#sleep(untilNanos);
        continue;
      }
      for (let step = 0; step < STEPS && !core.waiting && this.exitCode === null; step++) {
        clock.tick(core.executeInstruction() * this.cycleNanos);
        this.instructions++;
      }
    }
  }

  #sleep(untilNanos) {
    const { clock } = this.mcu;
    let next = this.host.isIdle ? untilNanos : Math.min(untilNanos, clock.nanos + 500);
    if (clock.nextAlarm) next = Math.min(next, clock.nextAlarm.nanos);
    for (const [first] of this.arriving) if (first) next = Math.min(next, first.nanos);
    clock.tick(Math.max(this.cycleNanos, next - clock.nanos));
  }

  #receive() {
    for (const index of [0, 1]) {
      const queue = this.arriving[index];
      const uart = this.mcu.uart[index];
      while (queue.length && queue[0].nanos <= this.nanos) {
        if (uart.rxFIFO.full && this.holdsBack) break;
        if (uart.rxFIFO.full) this.lostBytes++;
        uart.feedByte(queue.shift().byte);
      }
    }
  }

  #semihosting(code) {
    if (this.rom.call(code)) return;
    if (code !== SEMIHOSTING) {
      this.onText(`breakpoint ${code}\n`);
      this.exitCode = 121;
      return;
    }
    const { mcu } = this;
    const registers = mcu.core.registers;
    const [operation, argument] = registers;
    if (operation === WRITE0) this.onText(this.#string(argument));
    else if (operation === CLOCK) registers[0] = Math.floor(this.nanos / 1e7);
    else if (operation === TIME) registers[0] = this.seconds();
    else if (operation === GET_COMMAND_LINE) registers[0] = this.#giveCommandLine(argument);
    else if (operation === EXIT) this.exitCode = mcu.readUint32(argument + 4);
    else registers[0] = 0xffffffff;
  }

  #giveCommandLine(block) {
    const bytes = [...Buffer.from(this.commandLine), 0];
    const [to, capacity] = [this.mcu.readUint32(block), this.mcu.readUint32(block + 4)];
    if (bytes.length > capacity) return 0xffffffff;
    bytes.forEach((byte, index) => this.mcu.writeUint8(to + index, byte));
    this.mcu.writeUint32(block + 4, bytes.length - 1);
    return 0;
  }

  #string(address) {
    const bytes = [];
    for (let byte; (byte = this.mcu.readUint8(address + bytes.length)); ) bytes.push(byte);
    return Buffer.from(bytes).toString();
  }
}
