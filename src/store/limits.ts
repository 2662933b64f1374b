/** Bounds that every backend of the store keeps to. */
export interface StoreLimits {
  /** Old revisions kept for resuming watches and reading the past; the oldest go first. */
  historyRevisions: number;
  /** Bytes of old values kept for the same. */
  historyBytes: number;
  /** Events a watcher may lag behind before it is told `Compacted`. */
  watchQueueEvents: number;
}

/** Differs: etcd's keeper forgets after five minutes, we by size: a quiet cluster can look further back, a busy one stays bounded. */
export const defaultStoreLimits: StoreLimits = { historyRevisions: 100_000, historyBytes: 64 * 1024 * 1024, watchQueueEvents: 16_384 };

/** Largest value. Source: etcd `--max-request-bytes`, 1.5 MiB; upstream's apiserver refuses bodies above 3 MiB. */
export const valueLimitBytes = 3 * 1024 * 1024;

/** What a `key` under `prefix` must be below: the prefix with its last code unit raised. '' has no end. */
export function prefixEnd(prefix: string): string | undefined {
  return prefix === '' ? undefined : prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}
