/**
 * One step for one pod: read the runtime, publish status, do what the plan says. Called again and again by the pod's worker, and correct
 * from any state it finds. Volumes, images and the sandbox are prepared side by side. Behaviour: upstream's SyncPod, SyncTerminatingPod, SyncTerminatedPod.
 */
import type { Container, EphemeralContainer, Pod, PodStatus } from '../api/core/v1.ts';
import type { Clock } from '../base/clock.ts';
import { GrpcError } from '../base/grpc-status.ts';
import type { Logger } from '../base/log.ts';
import type { KubeletConfig } from './config.ts';
import type { ContainerKiller } from './container-killer.ts';
import { type ContainerStarter, type StartContext, StartError } from './container-starter.ts';
import { type NodeFacts, sandboxConfig } from './cri-config.ts';
import type { EnvironmentSources } from './environment.ts';
import type { Host } from './host.ts';
import { podDir, podLogDir, uidOf } from './names.ts';
import type { ObjectCache } from './object-cache.ts';
import { type PodPlan, planPod } from './plan.ts';
import { hostsFile, parseResolvConf, podDns, podHostname } from './pod-network-files.ts';
import { type PodState, type StateReader, isExited, isReadySandbox, podIPs } from './pod-state.ts';
import type { ProbeManager } from './probes/probe-manager.ts';
import type { Recorder } from './recorder.ts';
import { createResizer } from './resize.ts';
import { podCgroupLimits, qosClass } from './resources.ts';
import type { PodSandboxConfig, Runtime } from './runtime/runtime.ts';
import { type StatusOverride, buildStatus } from './status-builder.ts';
import type { ConditionDraft, StatusManager } from './status-manager.ts';
import type { TokenManager } from './token-manager.ts';
import type { MountedVolume, VolumeContext } from './volumes/plugin.ts';
import { VolumeError, type VolumeManager } from './volumes/volume-manager.ts';

const retryMs = 10_000;

export interface SyncerOptions {
  runtime: Runtime; reader: StateReader; host: Host; volumes: VolumeManager; objects: ObjectCache; tokens: TokenManager;
  probes: ProbeManager; starter: ContainerStarter; killer: ContainerKiller; statuses: StatusManager; recorder: Recorder; clock: Clock; log: Logger;
  config: KubeletConfig; node: NodeFacts; runtimeName: string; hostIPs: readonly string[];
  environment(pod: Pod, podIPs: readonly string[]): EnvironmentSources;
  resolveClaim: VolumeContext['resolveClaim'];
  networkProblem(): string | undefined;
  /** The condition of a resize that the node has not granted. */
  resizePending(uid: string): ConditionDraft | undefined;
  /** The handler that a RuntimeClass names. Throws when there is no such class. */
  runtimeHandler(runtimeClass: string): Promise<string>;
  /** The apiserver's copy, with conditions others wrote. */
  latestPod(pod: Pod): Pod | undefined;
}
export interface SyncResult {
  /** The pod has ended: terminate what is left. */
  terminal: boolean;
  /** What it ends with where its containers don't tell. */
  override?: StatusOverride | undefined;
  /** Sync again at once. */
  again: boolean;
  retryAfterMs: number | undefined;
}
export interface PodSyncer {
  sync(pod: Pod, options: { urgent: boolean; signal: AbortSignal }): Promise<SyncResult>;
  /** Stops everything. Resolves when nothing runs. */
  terminate(pod: Pod, options: { graceSeconds: number | undefined; override: StatusOverride | undefined; signal: AbortSignal }): Promise<void>;
  /** Publishes what is there now, for a pod whose end is under way; `current` is asked once more before. */
  refresh(pod: Pod, override: StatusOverride | undefined, current: () => boolean): Promise<void>;
  /** Frees what the pod held on the node; `remove`: its containers' records too. */
  cleanUp(pod: Pod, options: { override: StatusOverride | undefined; remove: boolean; lost: boolean }): Promise<void>;
}

export function createPodSyncer(options: SyncerOptions): PodSyncer {
  const { runtime, reader, host, volumes, objects, tokens, probes, starter, killer, statuses, recorder, clock, log, config, node } = options;
  const resizer = createResizer(runtime, node.memoryBytes, log);
  /** Start problems by pod, then container. */
  const problems = new Map<string, Map<string, { reason: string; message: string }>>();
  /** Why a granted resize could not be carried out, by pod. */
  const resizeProblems = new Map<string, string>();
  const problemsOf = (uid: string) => { let map = problems.get(uid); if (!map) { map = new Map(); problems.set(uid, map); } return map; };

  function previousStatus(pod: Pod): PodStatus | undefined {
    const api = options.latestPod(pod)?.status ?? pod.status;
    const own = statuses.get(uidOf(pod));
    return own ? { ...own, conditions: [...(api?.conditions ?? []).filter(({ type }) => !own.conditions?.some((mine) => mine.type === type)), ...(own.conditions ?? [])] } : api;
  }

  function resizeConditions(uid: string): ConditionDraft[] {
    const problem = resizeProblems.get(uid);
    const pending = options.resizePending(uid);
    return [...(pending ? [pending] : []), ...(problem ? [{ type: 'PodResizeInProgress', status: 'True', reason: 'Error', message: problem }] : [])];
  }

  function publish(pod: Pod, state: PodState, terminal: boolean, override?: StatusOverride) {
    const previous = previousStatus(pod);
    probes.update(pod, state, (name, containerId) => {
      const known = [...(previous?.containerStatuses ?? []), ...(previous?.initContainerStatuses ?? [])].find((status) => status.name === name && status.containerID?.endsWith(containerId));
      return known ? { ready: known.ready, started: known.started ?? false } : undefined;
    });
    const built = buildStatus({ pod, state, problems: problemsOf(uidOf(pod)), runtimeName: options.runtimeName, probes, hostIPs: options.hostIPs, previous, terminal, override, resized: resizer.current, resize: terminal ? [] : resizeConditions(uidOf(pod)) });
    statuses.set(pod, built.status);
    return built;
  }

  /** Undefined while there is time; else what to end the pod with. */
  function deadline(pod: Pod): { override?: StatusOverride; inMs?: number } {
    if (pod.spec.activeDeadlineSeconds === undefined) return {};
    const start = statuses.get(uidOf(pod))?.startTime ?? pod.status?.startTime;
    if (!start) return {};
    const left = Date.parse(start) + pod.spec.activeDeadlineSeconds * 1000 - clock.now();
    if (left > 0) return { inMs: left };
    return { override: { phase: 'Failed', reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' } };
  }

  async function ensureSandbox(pod: Pod, plan: PodPlan, cgroupParent: string, signal: AbortSignal): Promise<{ id: string; config: PodSandboxConfig }> {
    const resolv = parseResolvConf(host.simulated || !config.resolvConf ? '' : await host.readFile(config.resolvConf) ?? '');
    const dns = podDns(pod, resolv, { dns: config.clusterDNS, domain: config.clusterDomain });
    let made: PodSandboxConfig;
    try {
      made = sandboxConfig(pod, plan.attempt, dns, cgroupParent, config, node);
      if (!plan.createSandbox) return { id: plan.sandboxId!, config: made };
      for (const warning of dns.warnings) recorder.event(pod, 'Warning', warning.reason, warning.message);
      await host.makeDir(podLogDir(config.podLogsDir, pod), 0o755);
      return { id: await runtime.runPodSandbox(made, { ...(pod.spec.runtimeClassName ? { runtimeHandler: await options.runtimeHandler(pod.spec.runtimeClassName) } : {}), signal }), config: made };
    } catch (error) {
      recorder.event(pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${(error as Error).message}`);
      throw error;
    }
  }

  async function writeHosts(pod: Pod, ips: readonly string[]): Promise<string> {
    if (host.simulated) return '';
    const path = `${podDir(config.rootDir, uidOf(pod))}/etc-hosts`;
    const own = pod.spec.hostNetwork ? await host.readFile('/etc/hosts') ?? '' : '';
    await host.writeFile(path, hostsFile(pod, ips, podHostname(pod, config.clusterDomain, node.nodeName), own), 0o644);
    return path;
  }

  /** Starts them in order; answers what failed first in waiting time. */
  async function startAll(pod: Pod, list: readonly (Container | EphemeralContainer)[], context: StartContext): Promise<{ started: number; retryAfterMs: number | undefined }> {
    const notes = problemsOf(uidOf(pod));
    let started = 0;
    let retryAfterMs: number | undefined;
    for (const container of list) {
      if (context.signal?.aborted) break;
      try {
        await starter.start(pod, container, context);
        notes.delete(container.name);
        started++;
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        notes.set(container.name, { reason: error.reason, message: error.message });
        retryAfterMs = Math.min(retryAfterMs ?? Infinity, Math.max(1, error.retryAfterMs));
      }
    }
    return { started, retryAfterMs };
  }

  async function mountAll(pod: Pod, ips: readonly string[], urgent: boolean): Promise<ReadonlyMap<string, MountedVolume>> {
    const sources = options.environment(pod, ips);
    return volumes.ensure(pod, { pod, config, host, objects, tokens, addresses: sources.addresses, allocatable: sources.allocatable, resolveClaim: options.resolveClaim }, urgent);
  }

  const syncer: PodSyncer = {
    async sync(pod, { urgent, signal }) {
      const uid = uidOf(pod);
      let state = await reader.read(uid);
      const over = deadline(pod);
      if (over.override && !signal.aborted) recorder.event(pod, 'Normal', 'DeadlineExceeded', over.override.message);
      if (publish(pod, state, false, over.override).ended) return { terminal: true, override: over.override, again: false, retryAfterMs: undefined };
      objects.register(pod);
      const noNetwork = pod.spec.hostNetwork ? undefined : options.networkProblem();
      if (noNetwork && !state.sandboxes.some(isReadySandbox)) {
        recorder.event(pod, 'Warning', 'NetworkNotReady', `network is not ready: ${noNetwork}`);
        return { terminal: false, again: false, retryAfterMs: retryMs };
      }

      const plan = planPod(pod, state, probes, resizer.change);
      if (plan.createSandbox && state.sandboxes.length > 0) recorder.event(pod, 'Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
      if (plan.killPod) await killer.killPod(pod, state, {});
      else await Promise.all(plan.kill.map(({ record, spec, reason, message }) => killer.killContainer(pod, record, spec, podIPs(state)[0] ?? '', { reason, message })));
      let acted = plan.kill.length > 0 || (plan.killPod && state.sandboxes.length > 0);
      let result: { started: number; retryAfterMs: number | undefined } = { started: 0, retryAfterMs: undefined };
      let again = false;

      if (!plan.killPod || plan.createSandbox) {
        const cgroup = config.cgroupsPerQOS ? await host.ensurePodCgroup(uid, qosClass(pod), podCgroupLimits(pod)) : { parent: '' };
        // Between two looks at the pod's own limits: they grow before its containers and shrink after them.
        const failed: string[] = [];
        for (const { container, record } of plan.resize) {
          try { await resizer.apply(pod, container, record); } catch (error) {
            failed.push((error as Error).message);
            recorder.event(pod, 'Warning', 'ResizeError', `Error resizing container ${container.name}: ${(error as Error).message}`);
          }
        }
        acted ||= plan.resize.length > 0;
        if (failed.length > 0) { resizeProblems.set(uid, failed.join(', ')); result.retryAfterMs = retryMs; } else if (resizeProblems.delete(uid)) acted = true;
        if (plan.resize.length > 0 && config.cgroupsPerQOS) await host.ensurePodCgroup(uid, qosClass(pod), podCgroupLimits(pod));
        const wanted = [...plan.startEphemeral, ...plan.startInit, ...plan.start];
        // Side by side; the image check only warms up what the start does again cheaply.
        const [mounted, sandbox] = await Promise.allSettled([mountAll(pod, podIPs(state), urgent), ensureSandbox(pod, plan, cgroup.parent, signal)]);
        acted ||= plan.createSandbox;
        if (sandbox.status === 'rejected') throw sandbox.reason;
        if (mounted.status === 'rejected') {
          if (plan.createSandbox) publish(pod, await reader.read(uid), false);
          if (!(mounted.reason instanceof VolumeError)) throw mounted.reason;
          log.debug({ pod: pod.metadata.name, err: mounted.reason }, 'volumes are not ready');
          return { terminal: false, again: false, retryAfterMs: mounted.reason.retryAfterMs };
        }
        if (wanted.length > 0) {
          if (plan.createSandbox) state = await reader.read(uid);
          const ips = pod.spec.hostNetwork ? options.hostIPs : podIPs(state);
          // The address shows before images are pulled and containers start.
          if (plan.createSandbox) publish(pod, state, false);
          const context: StartContext = {
            state, sandboxId: sandbox.value.id, sandboxConfig: sandbox.value.config, podIP: ips[0] ?? '', environment: options.environment(pod, ips),
            volumes: mounted.value, hostsPath: await writeHosts(pod, ips), signal,
          };
          const { retryAfterMs } = result;
          result = await startAll(pod, wanted, context);
          result.retryAfterMs ??= retryAfterMs;
          acted = true;
          again = result.started > 0 && plan.startInit.length > 0;
        }
      }
      if (acted) publish(pod, await reader.read(uid), false);
      const waits = [result.retryAfterMs, over.inMs].filter((ms) => ms !== undefined);
      return { terminal: false, again, retryAfterMs: waits.length > 0 ? Math.min(...waits) : undefined };
    },

    async terminate(pod, { graceSeconds, override, signal }) {
      const uid = uidOf(pod);
      const state = await reader.read(uid);
      publish(pod, state, false, override);
      probes.stopLiveness(uid);
      await killer.killPod(pod, state, { graceSeconds, signal });
      const after = await reader.read(uid);
      const left = after.containers.filter((record) => record.state === 'CONTAINER_RUNNING');
      if (left.length > 0) throw new Error(`detected running containers after a successful KillPod, CRI violation: [${left.map(({ name }) => name).join(' ')}]`);
      probes.remove(uid);
      publish(pod, after, true, override);
    },

    async refresh(pod, override, current) {
      const state = await reader.read(uidOf(pod));
      if (current()) publish(pod, state, false, override);
    },

    async cleanUp(pod, { override, remove, lost }) {
      const uid = uidOf(pod);
      if (!lost) publish(pod, await reader.read(uid), true, override);
      probes.remove(uid);
      objects.unregister(uid);
      tokens.forget(uid);
      problems.delete(uid);
      resizeProblems.delete(uid);
      await volumes.tearDown(uid);
      if (config.cgroupsPerQOS) await host.removePodCgroup(uid, pod.status?.qosClass ?? qosClass(pod));
      if (!lost) statuses.finish(pod);
      if (!remove) return;
      const state = await reader.read(uid);
      await Promise.all(state.sandboxes.map((sandbox) => runtime.removePodSandbox(sandbox.id)));
      await Promise.all(state.containers.filter((record) => isExited(record) && !state.sandboxes.some(({ id }) => id === record.podSandboxId)).map((record) => runtime.removeContainer(record.id)));
      await host.removeTree(podLogDir(config.podLogsDir, pod));
    },
  };
  return syncer;
}

export function syncRetryMs(error: unknown): number { return error instanceof GrpcError && error.code === 'UNAVAILABLE' ? 1000 : retryMs; }
