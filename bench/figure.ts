import { readFileSync } from 'node:fs';

/** One measured number, with its unit and what is promised for it. */
export interface Figure { name: string; value: number; unit: string; target?: string }

export function printFigure({ name, value, unit, target }: Figure): void {
  console.log(`${name.padEnd(44)} ${String(value).padStart(9)} ${unit.padEnd(8)}${target ? ` target ${target}` : ''}`);
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** Resident memory of a process, MB. */
export function residentMb(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1000);
}

/** CPU time a process has used, user and system, ms. Linux counts it in ticks of 10 ms. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}
