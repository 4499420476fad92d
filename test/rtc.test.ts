import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { pl031Register } from '../vmm/devices/rtc-pl031.ts';
import { rtcRegister } from '../vmm/devices/rtc-x86.ts';

const times = fc.date({ min: new Date('2000-01-01'), max: new Date('2099-12-31'), noInvalidDate: true });

test('a PC reads the date of its clock, in binary and 24 hours', () => {
  expect([rtcRegister(0x0a, new Date()) & 0x80, rtcRegister(0x0b, new Date()), rtcRegister(0x0d, new Date())]).toEqual([
    0, 6, 0x80,
  ]);
  fc.assert(
    fc.property(times, (now) => {
      const [second = 0, minute = 0, hour = 0, day = 0, month = 0, year = 0] = [0, 2, 4, 7, 8, 9].map((number) =>
        rtcRegister(number, now),
      );
      expect(Date.UTC(2000 + year, month - 1, day, hour, minute, second)).toBe(Math.floor(now.getTime() / 1000) * 1000);
    }),
  );
});

test('an arm64 machine reads seconds, of a clock that is Arm’s', () => {
  expect(pl031Register(0, Date.UTC(2026, 10, 21))).toBe(Date.UTC(2026, 10, 21) / 1000);
  expect([0xfe0, 0xfe4, 0xfe8, 0xff0, 0xffc].map((at) => pl031Register(at, 0))).toEqual([0x31, 0x10, 4, 0x0d, 0xb1]);
});
