/** Every built-in resource's entry. Holds no state of a server: several servers in one process share these. */
import type { ResourceEntry } from '../types.ts';
import { appsEntries } from './apps.ts';
import { autoscalingEntries } from './autoscaling.ts';
import { batchEntries } from './batch.ts';
import { coreEntries } from './core.ts';
import { eventEntries } from './events.ts';
import { networkingEntries } from './networking.ts';
import { rbacEntries } from './rbac.ts';
import { smallGroupEntries } from './small-groups.ts';
import { storageEntries } from './storage.ts';

export const registryEntries: readonly ResourceEntry[] = [
  ...coreEntries, ...eventEntries, ...appsEntries, ...batchEntries, ...autoscalingEntries, ...networkingEntries, ...rbacEntries, ...storageEntries, ...smallGroupEntries,
] as unknown as readonly ResourceEntry[];
