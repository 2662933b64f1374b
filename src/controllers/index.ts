/** Every controller by name, and how a set of them is chosen and started: kube-controller-manager's part of a cluster. */
import type { Registry } from 'prom-client';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Client } from '../client/client.ts';
import { EventCorrelator } from '../client/events.ts';
import type { InformerFactory } from '../client/informer.ts';
import { csrApprovingController, csrCleanerController, csrSigningController } from './certificates.ts';
import { clusterRoleAggregationController } from './clusterrole-aggregation.ts';
import { cronJobController } from './cronjob.ts';
import { daemonSetController } from './daemonset.ts';
import { deploymentController } from './deployment.ts';
import { disruptionController } from './disruption.ts';
import { endpointsController } from './endpoints.ts';
import { endpointSliceController } from './endpointslice.ts';
import { endpointSliceMirroringController } from './endpointslicemirroring.ts';
import { ephemeralVolumeController } from './ephemeral-volume.ts';
import { startController, type ControllerDefinition, type RunningController } from './framework.ts';
import { garbageCollector } from './garbage-collector.ts';
import { jobController } from './job.ts';
import { namespaceController } from './namespace.ts';
import { nodeIpamController } from './node-ipam.ts';
import { nodeLifecycleController } from './node-lifecycle.ts';
import type { ControllerOptions } from './options.ts';
import { persistentVolumeBinder } from './persistentvolume-binder.ts';
import { podGarbageCollector } from './pod-garbage-collector.ts';
import { replicaSetController, replicationController } from './replicaset.ts';
import { resourceQuotaController } from './resourcequota.ts';
import { serviceAccountTokenController } from './serviceaccount-tokens.ts';
import { rootCaController, serviceAccountController } from './serviceaccount.ts';
import { statefulSetController } from './statefulset.ts';
import { taintEvictionController } from './taint-eviction.ts';
import { ttlAfterFinishedController } from './ttl-after-finished.ts';
import { attributesClassProtectionController, claimProtectionController, volumeProtectionController } from './volume-protection.ts';

/** In start order. The garbage collector comes last: it shares the informers the others have asked for. */
export const allControllers: readonly ControllerDefinition[] = [
  serviceAccountController, serviceAccountTokenController, rootCaController, namespaceController, replicationController, replicaSetController, deploymentController, statefulSetController, daemonSetController, jobController, cronJobController, disruptionController,
  endpointsController, endpointSliceController, endpointSliceMirroringController, nodeLifecycleController, taintEvictionController, nodeIpamController, podGarbageCollector, ttlAfterFinishedController,
  persistentVolumeBinder, ephemeralVolumeController, claimProtectionController, volumeProtectionController, attributesClassProtectionController,
  clusterRoleAggregationController, resourceQuotaController, csrApprovingController, csrSigningController, csrCleanerController,
  garbageCollector,
];

/** Upstream's `--controllers`: '*' means all that are on by default, 'x' adds, '-x' removes; a name counts more than '*'. Throws for unknown names. */
export function chooseControllers(flags: readonly string[] = ['*'], all: readonly ControllerDefinition[] = allControllers): ControllerDefinition[] {
  const named = (definition: ControllerDefinition, name: string) => definition.name === name || (definition.aliases?.includes(name) ?? false);
  for (const flag of flags) {
    const name = flag.replace(/^-/, '');
    if (name !== '*' && !all.some((definition) => named(definition, name)) && !notOurs.has(name)) throw new Error(`"${name}" is not in the list of known controllers`);
  }
  return all.filter((definition) => {
    if (flags.some((flag) => named(definition, flag))) return true;
    if (flags.some((flag) => flag.startsWith('-') && named(definition, flag.slice(1)))) return false;
    return flags.includes('*') && !definition.disabledByDefault;
  });
}
/** Upstream controllers that this cluster has no use for: named on a command line, they are ignored. */
const notOurs = new Set(['service-lb-controller', 'node-route-controller', 'cloud-node-lifecycle-controller', 'persistentvolume-attach-detach-controller', 'persistentvolume-expander-controller', 'storage-version-migrator-controller', 'selinux-warning-controller', 'validatingadmissionpolicy-status-controller', 'resourceclaim-controller', 'device-taint-eviction-controller', 'service-cidr-controller', 'legacy-serviceaccount-token-cleaner-controller', 'podcertificaterequest-cleaner-controller', 'kube-apiserver-serving-clustertrustbundle-publisher-controller', 'ttl-controller', 'ttl', 'service', 'route', 'cloud-node-lifecycle', 'attachdetach', 'persistentvolume-expander']);

export interface StartControllersOptions {
  client: Client; informers: InformerFactory; clock: Clock; rng: Rng; log: Logger; signal: AbortSignal;
  /** The client a controller acts with, by its service account; default `client` for all. */
  clientFor?: ((account: string) => Client) | undefined;
  metrics?: Registry;
  options?: ControllerOptions;
}
export interface RunningControllers extends AsyncDisposable {
  readonly controllers: readonly RunningController[];
  /** No controller has anything ready or under way (delayed items may wait). */
  idle(): boolean;
}

/** Starts the chosen controllers; each begins to work once its caches have synced. Stopped by the signal or by disposing. */
export function startControllers({ options = {}, clientFor, ...environment }: StartControllersOptions): RunningControllers {
  const correlator = new EventCorrelator(environment.clock);
  const controllers = chooseControllers(options.controllers).map((definition) => startController(definition, { ...environment, client: (definition.account === '' ? undefined : clientFor?.(definition.account ?? definition.name)) ?? environment.client, options, correlator }));
  return {
    controllers,
    idle: () => controllers.every((controller) => controller.idle()),
    async [Symbol.asyncDispose]() { await Promise.all(controllers.map((controller) => controller[Symbol.asyncDispose]())); },
  };
}
