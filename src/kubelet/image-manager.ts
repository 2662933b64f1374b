/**
 * Brings images to the node: pull policies, pull secrets, one pull per image at a time, back-off after failures, events.
 * Text: kubernetes.io/docs/concepts/containers/images; messages: upstream pkg/kubelet/images/image_manager.go.
 */
import type { Container, EphemeralContainer, Pod } from '../api/core/v1.ts';
import type { Clock } from '../base/clock.ts';
import type { AuthConfig, Image, PodSandboxConfig, Runtime } from './runtime/runtime.ts';
import { Backoff } from './backoff.ts';
import type { Recorder } from './recorder.ts';
import { containerField } from './recorder.ts';
import { goDuration } from './names.ts';

/** `reason` is the container's waiting reason. */
export class ImageError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string) { super(message); this.reason = reason; }
}
export interface EnsuredImage { ref: string; info: Image | undefined }

const pullBackoffInitialMs = 10_000;
const pullBackoffMaxMs = 300_000;
const lastErrorLimit = 1000;
/** A reference's parts after an optional registry; letters are lower case. Source: distribution/reference. */
const reference = /^(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?\/)?[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?$/;

/** Adds the tag or registry-less form's default tag, as `docker pull` would: 'nginx' → 'nginx:latest'. */
export function withDefaultTag(image: string): string {
  if (image.includes('@')) return image;
  const last = image.slice(image.lastIndexOf('/') + 1);
  return last.includes(':') ? image : `${image}:latest`;
}
export function defaultPullPolicy(image: string): 'Always' | 'IfNotPresent' {
  return !image.includes('@') && withDefaultTag(image).endsWith(':latest') ? 'Always' : 'IfNotPresent';
}

export interface ImageManager {
  /** Throws ImageError with the waiting reason. */
  ensure(pod: Pod, container: Container | EphemeralContainer, options: { sandboxConfig?: PodSandboxConfig; signal?: AbortSignal }): Promise<EnsuredImage>;
  backoffSweep(): void;
  /** Milliseconds until a pull of this container's image may be tried again. */
  retryAfterMs(pod: Pod, container: Container | EphemeralContainer): number;
}

export function createImageManager(options: { runtime: Runtime; clock: Clock; recorder: Recorder; maxParallelPulls: number; auths(pod: Pod, image: string): Promise<AuthConfig[]> }): ImageManager {
  const { runtime, clock, recorder } = options;
  const backoff = new Backoff(clock, pullBackoffInitialMs, pullBackoffMaxMs);
  /** Texts of the last failures, shown with ImagePullBackOff. */
  const lastError = new Map<string, string>();
  const pulling = new Map<string, Promise<string>>();
  const waiting: (() => void)[] = [];
  let active = 0;
  const acquire = async () => { if (active >= options.maxParallelPulls) await new Promise<void>((resolve) => { waiting.push(resolve); }); active++; };
  const release = () => { active--; waiting.shift()?.(); };
  const keyOf = (pod: Pod, image: string) => `${pod.metadata.uid}_${image}`;

  async function pull(pod: Pod, image: string, sandboxConfig: PodSandboxConfig | undefined): Promise<string> {
    await acquire();
    try {
      const auths = await options.auths(pod, image);
      let failure: unknown;
      for (const auth of auths.length > 0 ? auths : [undefined]) {
        try { return await runtime.images.pull(image, { ...(auth ? { auth } : {}), ...(sandboxConfig ? { sandboxConfig } : {}) }); } catch (error) { failure = error; }
      }
      throw failure;
    } finally { release(); }
  }

  return {
    async ensure(pod, container, { sandboxConfig }) {
      const image = withDefaultTag(container.image ?? '');
      const policy = container.imagePullPolicy || defaultPullPolicy(image);
      const at = containerField(pod, container.name);
      if (!reference.test(container.image ?? '')) {
        const message = `Failed to apply default image tag "${container.image ?? ''}": couldn't parse image name "${container.image ?? ''}": invalid reference format`;
        recorder.event(pod, 'Warning', 'InspectFailed', message, at);
        throw new ImageError('InvalidImageName', message);
      }
      let present: Image | undefined;
      try { present = await runtime.images.status(image); } catch (error) {
        const message = `Failed to inspect image "${image}": ${(error as Error).message}`;
        recorder.event(pod, 'Warning', 'InspectFailed', message, at);
        throw new ImageError('ImageInspectError', message);
      }
      if (policy === 'Never' || (policy === 'IfNotPresent' && present)) {
        if (present) {
          recorder.event(pod, 'Normal', 'Pulled', `Container image "${container.image}" already present on machine and can be accessed by the pod`, at);
          return { ref: present.id, info: present };
        }
        const message = `Container image "${container.image}" is not present with pull policy of Never`;
        recorder.event(pod, 'Warning', 'ErrImageNeverPull', message, at);
        throw new ImageError('ErrImageNeverPull', message);
      }
      const key = keyOf(pod, image);
      if (backoff.remainingSinceUpdate(key) > 0) {
        recorder.event(pod, 'Normal', 'BackOff', `Back-off pulling image "${container.image}"`, at);
        throw new ImageError('ImagePullBackOff', `Back-off pulling image "${container.image}": ${lastError.get(key) ?? 'ErrImagePull'}`);
      }
      recorder.event(pod, 'Normal', 'Pulling', `Pulling image "${container.image}"`, at);
      const started = clock.monotonic();
      try {
        const shared = `${pod.metadata.namespace}/${pod.spec.serviceAccountName ?? ''}/${JSON.stringify(pod.spec.imagePullSecrets ?? [])}/${image}`;
        let run = pulling.get(shared);
        if (!run) { run = pull(pod, image, sandboxConfig).finally(() => pulling.delete(shared)); pulling.set(shared, run); }
        const ref = await run;
        const info = await runtime.images.status(image);
        const took = goDuration(Math.round(clock.monotonic() - started));
        recorder.event(pod, 'Normal', 'Pulled', `Successfully pulled image "${container.image}" in ${took} (${took} including waiting). Image size: ${info?.sizeBytes ?? 0} bytes.`, at);
        backoff.reset(key);
        lastError.delete(key);
        return { ref, info };
      } catch (error) {
        const text = (error as Error).message;
        recorder.event(pod, 'Warning', 'Failed', `Failed to pull image "${container.image}": ${text}`, at);
        backoff.next(key, clock.now());
        if (lastError.size > lastErrorLimit) lastError.clear();
        lastError.set(key, `ErrImagePull: ${text}`);
        throw new ImageError('ErrImagePull', text);
      }
    },
    backoffSweep() { backoff.sweep(); },
    retryAfterMs(pod, container) { return backoff.remainingSinceUpdate(keyOf(pod, withDefaultTag(container.image ?? ''))); },
  };
}
