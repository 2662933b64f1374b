/** Completion indexes of Indexed Jobs in their text form: '1,3-5,7'. Source: batch/v1 JobStatus.completedIndexes. */
import type { Pod } from '../api/core/v1.ts';

export const completionIndexKey = 'batch.kubernetes.io/job-completion-index';

export function parseIndexes(text: string | undefined, below = Infinity): Set<number> {
  const found = new Set<number>();
  for (const part of (text ?? '').split(',')) {
    if (part === '') continue;
    const [first, last = first] = part.split('-').map(Number);
    for (let index = first!; index <= last! && index < below; index++) found.add(index);
  }
  return found;
}
export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length;) {
    let j = i;
    while (sorted[j + 1] === sorted[j]! + 1) j++;
    parts.push(j === i ? `${sorted[i]}` : j === i + 1 ? `${sorted[i]},${sorted[j]}` : `${sorted[i]}-${sorted[j]}`);
    i = j + 1;
  }
  return parts.join(',');
}
/** -1 where the pod has none. */
export function indexOf(pod: Pod): number {
  const text = pod.metadata.annotations?.[completionIndexKey];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : -1;
}
