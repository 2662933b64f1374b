/**
 * Starts one container: back-off, image, configuration, create, start, postStart hook. What went wrong is kept by container for its
 * waiting reason. Behaviour and texts: upstream's startContainer and doBackOff.
 */
import type { Container, EphemeralContainer, Pod } from '../api/core/v1.ts';
import type { Clock } from '../base/clock.ts';
import { GrpcError } from '../base/grpc-status.ts';
import type { Rng } from '../base/rng.ts';
import { Backoff } from './backoff.ts';
import { containerHash } from './container-hash.ts';
import type { ContainerKiller } from './container-killer.ts';
import { type AnyContainer, type NodeFacts, containerConfig } from './cri-config.ts';
import { type EnvironmentSources, ConfigError, containerEnvironment } from './environment.ts';
import type { KubeletConfig } from './config.ts';
import { expand } from './expand.ts';
import type { Handlers } from './handlers.ts';
import type { Host } from './host.ts';
import { type ImageManager, ImageError } from './image-manager.ts';
import { formatPod, goDuration, podDir, uidOf } from './names.ts';
import { type PodState, isExited, latest } from './pod-state.ts';
import { containerField, type Recorder } from './recorder.ts';
import type { Mount, PodSandboxConfig, Runtime } from './runtime/runtime.ts';
import type { MountedVolume } from './volumes/plugin.ts';

const terminationLogMode = 0o666;

/** `reason` becomes the container's waiting reason; `retryAfterMs`: when to try again. */
export class StartError extends Error {
  readonly reason: string;
  readonly retryAfterMs: number;
  constructor(reason: string, message: string, retryAfterMs: number) { super(message); this.reason = reason; this.retryAfterMs = retryAfterMs; }
}
/** Between tries where no back-off says otherwise. Upstream: backOffPeriod. */
const retryMs = 10_000;

export interface StartContext {
  state: PodState;
  sandboxId: string;
  sandboxConfig: PodSandboxConfig;
  podIP: string;
  environment: EnvironmentSources;
  volumes: ReadonlyMap<string, MountedVolume>;
  /** /etc/hosts of the pod; '' where there is none. */
  hostsPath: string;
  signal?: AbortSignal | undefined;
}
export interface ContainerStarter {
  /** Throws StartError. */
  start(pod: Pod, container: Container | EphemeralContainer, context: StartContext): Promise<void>;
  /** Milliseconds until the container may start again, for one that just exited; 0: now. */
  backoffMs(pod: Pod, container: Container, state: PodState): number;
  sweep(): void;
}

/** A deleted pod does not wait for its image; the pull itself may serve others. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  signal.throwIfAborted();
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => { onAbort = () => reject(signal.reason as Error); signal.addEventListener('abort', onAbort, { once: true }); });
  work.catch(() => {});
  try { return await Promise.race([work, aborted]); } finally { signal.removeEventListener('abort', onAbort); }
}

const detail = (error: unknown): string => (error instanceof GrpcError ? error.details : (error as Error).message);

export function createContainerStarter(options: {
  runtime: Runtime; images: ImageManager; handlers: Handlers; killer: ContainerKiller; host: Host; clock: Clock; rng: Rng; recorder: Recorder; config: KubeletConfig; node: NodeFacts;
}): ContainerStarter {
  const { runtime, images, handlers, killer, host, clock, rng, recorder, config, node } = options;
  const backoff = new Backoff(clock, config.crashLoopBackOffInitialMs, config.crashLoopBackOffMaxMs);
  const keyOf = (pod: Pod, container: Container | EphemeralContainer) => `${container.name}_${pod.metadata.namespace}_${uidOf(pod)}_${containerHash(container)}`;
  const ended = (state: PodState, name: string) => {
    const record = state.containers.find((item) => item.name === name && isExited(item));
    return record ? record.finishedAtMs || record.createdAtMs : undefined;
  };

  async function makeMounts(pod: Pod, container: Container | EphemeralContainer, context: StartContext, env: readonly { key: string; value: string }[]): Promise<Mount[]> {
    const mounts: Mount[] = [];
    const lookup = new Map(env.map(({ key, value }) => [key, value]));
    for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
      const volume = context.volumes.get(mount.name);
      if (!volume) throw new ConfigError(`cannot find volume "${mount.name}" to mount into container "${container.name}"`);
      let sub = mount.subPath ?? '';
      if (mount.subPathExpr) {
        sub = expand(mount.subPathExpr, (name) => { const value = lookup.get(name); if (value === undefined) throw new ConfigError(`missing value for "${name}"`); return value; });
      }
      if (sub.startsWith('/') || sub.split('/').includes('..')) throw new ConfigError(`subPath "${sub}" must be a relative path without '..'`);
      const readonly = (mount.readOnly ?? false) || volume.readOnly;
      let hostPath = volume.hostPath;
      if (sub) {
        try {
          hostPath = await host.subPath(volume.hostPath, sub, { create: !volume.readOnly, bindTarget: `${podDir(config.rootDir, uidOf(pod))}/volume-subpaths/${mount.name}/${container.name}/${index}` });
        } catch (error) { throw new ConfigError(`failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}": ${(error as Error).message}`); }
      }
      const containerPath = mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`;
      mounts.push({
        containerPath, hostPath, readonly,
        propagation: mount.mountPropagation === 'Bidirectional' ? 'PROPAGATION_BIDIRECTIONAL' : mount.mountPropagation === 'HostToContainer' ? 'PROPAGATION_HOST_TO_CONTAINER' : 'PROPAGATION_PRIVATE',
        ...(mount.recursiveReadOnly === 'Enabled' ? { recursiveReadOnly: true } : {}),
      });
    }
    if (context.hostsPath && !mounts.some(({ containerPath }) => containerPath === '/etc/hosts')) mounts.push({ containerPath: '/etc/hosts', hostPath: context.hostsPath, readonly: false });
    const messagePath = container.terminationMessagePath ?? '/dev/termination-log';
    if (messagePath && !host.simulated) {
      const file = `${podDir(config.rootDir, uidOf(pod))}/containers/${container.name}/${Buffer.from(rng.bytes(4)).toString('hex')}`;
      await host.writeFile(file, '', terminationLogMode);
      mounts.push({ containerPath: messagePath, hostPath: file, readonly: false });
    }
    return mounts;
  }

  return {
    backoffMs(pod, container, state) {
      const at = ended(state, container.name);
      return at === undefined ? 0 : backoff.remaining(keyOf(pod, container), at);
    },
    sweep() { backoff.sweep(); images.backoffSweep(); },

    async start(pod, container, context) {
      const field = containerField(pod, container.name);
      const at = ended(context.state, container.name);
      if (at !== undefined) {
        const key = keyOf(pod, container);
        const wait = backoff.remaining(key, at);
        if (wait > 0) {
          recorder.event(pod, 'Warning', 'BackOff', `Back-off restarting failed container ${container.name} in pod ${formatPod(pod)}`, field);
          throw new StartError('CrashLoopBackOff', `back-off ${goDuration(backoff.get(key))} restarting failed container=${container.name} pod=${formatPod(pod)}`, wait);
        }
        backoff.next(key, at);
      }
      const failed = (reason: string, message: string): never => {
        recorder.event(pod, 'Warning', 'Failed', `Error: ${message}`, field);
        throw new StartError(reason, message, retryMs);
      };
      let image;
      try { image = await unlessAborted(images.ensure(pod, container, { sandboxConfig: context.sandboxConfig }), context.signal); } catch (error) {
        if (!(error instanceof ImageError)) throw error;
        recorder.event(pod, 'Warning', 'Failed', `Error: ${error.reason}`, field);
        throw new StartError(error.reason, error.message, images.retryAfterMs(pod, container) || retryMs);
      }
      const previous = latest(context.state, container.name);
      const attempt = previous ? previous.restartCount + 1 : 0;
      let made;
      try {
        const env = await containerEnvironment(pod, container as Container, context.environment);
        const mounts = await makeMounts(pod, container, context, env);
        const { targetContainerName } = container as AnyContainer;
        const targetId = targetContainerName ? latest(context.state, targetContainerName)?.id : undefined;
        made = containerConfig(pod, container, { image: image.ref, imageInfo: image.info, attempt, env, mounts, targetId }, config, node);
      } catch (error) { return failed('CreateContainerConfigError', (error as Error).message); }
      let id = '';
      try { id = await runtime.createContainer(context.sandboxId, made, context.sandboxConfig); } catch (error) { failed('CreateContainerError', detail(error)); }
      recorder.event(pod, 'Normal', 'Created', 'Container created', field);
      try { await runtime.startContainer(id); } catch (error) { failed('RunContainerError', detail(error)); }
      recorder.event(pod, 'Normal', 'Started', 'Container started', field);
      const hook = container.lifecycle?.postStart;
      if (!hook) return;
      const outcome = await handlers.hook(hook, { container: container as Container, containerId: id, podIP: context.podIP, hostNetwork: pod.spec.hostNetwork ?? false }, 24 * 3600_000, context.signal);
      if (outcome.result === 'success') return;
      recorder.event(pod, 'Warning', 'FailedPostStartHook', 'PostStartHook failed', field);
      const status = await runtime.containerStatus(id);
      await killer.killContainer(pod, { ...status, podSandboxId: context.sandboxId, name: container.name, restartCount: attempt, hash: '', terminationMessage: '' }, container as Container, context.podIP, { message: 'FailedPostStartHook' });
      throw new StartError('PostStartHookError', 'PostStartHook failed', retryMs);
    },
  };
}
