/** One measured number, with its unit and what is promised for it. */
export interface Figure { name: string; value: number; unit: string; target?: string }

export function printFigure({ name, value, unit, target }: Figure): void {
  console.log(`${name.padEnd(44)} ${String(value).padStart(9)} ${unit.padEnd(8)}${target ? ` target ${target}` : ''}`);
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
