/** Small plugins on pods. Source: upstream's plugin/pkg/admission/{priority,defaulttolerationseconds,runtimeclass,alwayspullimages,extendedresourcetoleration}. */
import type { Container, Node, Pod, Toleration } from '../../api/core/v1.ts';
import type { PriorityClass } from '../../api/scheduling/v1.ts';
import { canonicalQuantity } from '../../api/quantity.ts';
import { nodes, pods, priorityclasses, runtimeclasses } from '../../api/resources.ts';
import type { AdmissionPlugin } from '../types.ts';
import { all, draft, find, on, refuse, type AdmissionDeps } from './plugin.ts';

export function priority(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(priorityclasses);
  const onPods = on(pods, ['CREATE', 'UPDATE']);
  const onClasses = on(priorityclasses, ['CREATE', 'UPDATE']);
  return {
    name: 'Priority',
    handles: (operation, names, subresource) => onPods(operation, names, subresource) || onClasses(operation, names, subresource),
    async admit(attributes) {
      if (attributes.names.plural !== 'pods') return;
      const { spec } = draft<Pod>(attributes);
      if (attributes.operation === 'UPDATE') {
        const old = (attributes.oldObject as unknown as Pod).spec;
        if (spec.priority === undefined && old?.priority !== undefined) spec.priority = old.priority;
        if (spec.preemptionPolicy === undefined && old?.preemptionPolicy !== undefined) spec.preemptionPolicy = old.preemptionPolicy;
        return;
      }
      let chosen: PriorityClass | undefined;
      if (spec.priorityClassName) {
        chosen = await find(deps, priorityclasses, spec.priorityClassName);
        if (!chosen) throw refuse(attributes, `no PriorityClass with name ${spec.priorityClassName} was found`);
      } else {
        chosen = (await all(deps, priorityclasses)).filter(({ globalDefault }) => globalDefault).sort((a, b) => (a.value ?? 0) - (b.value ?? 0))[0];
        if (chosen) spec.priorityClassName = chosen.metadata.name;
      }
      const value = chosen?.value ?? 0;
      const policy = chosen?.preemptionPolicy ?? 'PreemptLowerPriority';
      if (spec.priority !== undefined && spec.priority !== value) throw refuse(attributes, `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`);
      spec.priority = value;
      if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) throw refuse(attributes, `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`);
      spec.preemptionPolicy = policy;
    },
    async validate(attributes) {
      if (attributes.names.plural !== 'priorityclasses') return;
      const next = attributes.object as unknown as PriorityClass;
      if (!next.globalDefault) return;
      const other = (await all(deps, priorityclasses)).find(({ globalDefault, metadata }) => globalDefault && metadata.name !== next.metadata.name);
      if (other) throw refuse(attributes, `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`);
    },
  };
}

/** Source: kube-apiserver `--default-not-ready-toleration-seconds`. */
const defaultTolerationSecondsValue = 300;

export function defaultTolerationSeconds(): AdmissionPlugin {
  return {
    name: 'DefaultTolerationSeconds',
    handles: on(pods, ['CREATE', 'UPDATE']),
    admit(attributes) {
      const { spec } = draft<Pod>(attributes);
      for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
        if (spec.tolerations?.some((toleration) => (!toleration.key || toleration.key === key) && (!toleration.effect || toleration.effect === 'NoExecute'))) continue;
        spec.tolerations = [...(spec.tolerations ?? []), { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: defaultTolerationSecondsValue }];
      }
    },
  };
}

export function runtimeClass(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(runtimeclasses);
  return {
    name: 'RuntimeClass',
    handles: on(pods, ['CREATE']),
    async admit(attributes) {
      const { spec } = draft<Pod>(attributes);
      if (!spec.runtimeClassName) return;
      const found = await find(deps, runtimeclasses, spec.runtimeClassName);
      if (!found) throw refuse(attributes, `pod rejected: RuntimeClass ${JSON.stringify(spec.runtimeClassName)} not found`);
      const overhead = found.overhead?.podFixed;
      if (overhead) {
        if (spec.overhead && !sameAmounts(spec.overhead, overhead)) throw refuse(attributes, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
        spec.overhead = { ...overhead };
      }
      for (const [key, value] of Object.entries(found.scheduling?.nodeSelector ?? {})) {
        const own = spec.nodeSelector?.[key];
        if (own !== undefined && own !== value) throw refuse(attributes, `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`);
        spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
      }
      for (const toleration of found.scheduling?.tolerations ?? []) {
        if (!spec.tolerations?.some((own) => JSON.stringify(own) === JSON.stringify(toleration))) spec.tolerations = [...(spec.tolerations ?? []), { ...toleration }];
      }
    },
    async validate(attributes) {
      const { spec } = attributes.object as unknown as Pod;
      if (!spec?.overhead || Object.keys(spec.overhead).length === 0) return;
      const found = spec.runtimeClassName ? await find(deps, runtimeclasses, spec.runtimeClassName) : undefined;
      if (!found?.overhead?.podFixed) throw refuse(attributes, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
      if (!sameAmounts(spec.overhead, found.overhead.podFixed)) throw refuse(attributes, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
    },
  };
}
const sameAmounts = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean =>
  Object.keys({ ...a, ...b }).every((key) => a[key] !== undefined && b[key] !== undefined && canonicalQuantity(a[key]) === canonicalQuantity(b[key]));

/** Off by default. */
export function alwaysPullImages(): AdmissionPlugin {
  return {
    name: 'AlwaysPullImages',
    handles: on(pods, ['CREATE', 'UPDATE'], ['', 'ephemeralcontainers']),
    admit(attributes) {
      const { spec } = draft<Pod>(attributes);
      for (const container of [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]) (container as { imagePullPolicy?: string }).imagePullPolicy = 'Always';
    },
  };
}

/** Off by default: pods that ask for devices tolerate the taint of that name. */
export function extendedResourceToleration(): AdmissionPlugin {
  return {
    name: 'ExtendedResourceToleration',
    handles: on(pods, ['CREATE', 'UPDATE']),
    admit(attributes) {
      const { spec } = draft<Pod>(attributes);
      const containers = [...(spec.initContainers ?? []), ...spec.containers] as Container[];
      const wanted = new Set(containers.flatMap(({ resources }) => Object.keys(resources?.requests ?? {})).filter((name) => name.includes('/') && !name.includes('kubernetes.io/')));
      for (const key of [...wanted].sort()) {
        const toleration: Toleration = { key, operator: 'Exists', effect: 'NoSchedule' };
        if (!spec.tolerations?.some((own) => own.key === key && own.operator === 'Exists' && (!own.effect || own.effect === 'NoSchedule'))) spec.tolerations = [...(spec.tolerations ?? []), toleration];
      }
    },
  };
}

const topologyLabels = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region'] as const;

/** Pods learn their node's zone and region when they are bound. */
export function podTopologyLabels(deps: AdmissionDeps): AdmissionPlugin {
  deps.informers.informer(nodes);
  return {
    name: 'PodTopologyLabels',
    handles: (operation, names, subresource) => operation === 'CREATE' && names.group === '' && ((names.plural === 'pods' && subresource === 'binding') || names.plural === 'bindings'),
    async admit(attributes) {
      const binding = draft<{ metadata: { labels?: Record<string, string> }; target?: { kind?: string; name?: string } }>(attributes);
      if ((binding.target?.kind && binding.target.kind !== 'Node') || !binding.target?.name) return;
      const node: Node | undefined = await find(deps, nodes, binding.target.name);
      for (const label of topologyLabels) {
        const value = node?.metadata.labels?.[label];
        if (value !== undefined) binding.metadata = { ...binding.metadata, labels: { ...binding.metadata?.labels, [label]: value } };
      }
    },
  };
}
