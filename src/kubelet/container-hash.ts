/**
 * A container's hash: a running container whose spec now hashes differently is replaced. Only name and image count, as upstream since
 * 1.31 (the rest of a container can't change in place, or changes without a restart).
 */
import { createHash } from 'node:crypto';
import type { Container, EphemeralContainer } from '../api/core/v1.ts';

export function containerHash(container: Container | EphemeralContainer): string {
  return createHash('sha256').update(JSON.stringify([container.name, container.image ?? ''])).digest('hex').slice(0, 8);
}
