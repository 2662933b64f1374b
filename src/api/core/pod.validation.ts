/** Pods: creation, the few changes an update may make, status, ephemeral containers, resize, binding. Source: upstream's ValidatePodCreate, ValidatePodUpdate and siblings. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';
import { parseIP } from '../cidr.ts';
import { differences, semanticEqual } from '../validation/equality.ts';
import { addInvalid, duplicate, field, forbidden, invalid, notSupported, required, type FieldError, type FieldPath } from '../validation/field.ts';
import { isQualifiedName, isValidIP, nameIsDNSSubdomain, rangeError } from '../validation/names.ts';
import { validateImmutable } from '../validation/meta.ts';
import { qosClassOf } from './pod-qos.ts';
import { validatePodSpec } from './pod-spec.validation.ts';
import { validateOnlyAddedTolerations } from './scheduling.validation.ts';

const specPath = field('spec');
const statusPath = field('status');
const annotationsPath = field('metadata', 'annotations');
export const mirrorPodAnnotation = 'kubernetes.io/config.mirror';
const maxInt32 = 2 ** 31 - 1;

function validateSpecOf(pod: v1.Pod, errors: FieldError[]): void {
  const annotations = pod.metadata.annotations;
  if (annotations?.[mirrorPodAnnotation] !== undefined && !pod.spec.nodeName) {
    errors.push(invalid(annotationsPath.key(mirrorPodAnnotation), annotations[mirrorPodAnnotation], 'must set spec.nodeName if mirror pod annotation is set'));
  }
  const cost = annotations?.['controller.kubernetes.io/pod-deletion-cost'];
  if (cost !== undefined && (!/^(0|-?[1-9]\d*)$/.test(cost) || Math.abs(Number(cost)) > 2 ** 31)) {
    errors.push(invalid(annotationsPath.key('controller.kubernetes.io/pod-deletion-cost'), cost, 'must be a 32bit integer'));
  }
  validatePodSpec(pod.spec, { isPod: true, podName: pod.metadata.name }, specPath, errors);
  if (!pod.spec.serviceAccountName) {
    for (const [v, volume] of (pod.spec.volumes ?? []).entries()) {
      for (const [s, source] of (volume.projected?.sources ?? []).entries()) {
        if (source.serviceAccountToken) errors.push(forbidden(specPath.child('volumes').index(v).child('projected', 'sources').index(s).child('serviceAccountToken'), 'must not be specified when serviceAccountName is not set'));
      }
    }
  }
}

export function validatePod(pod: v1.Pod): FieldError[] {
  const errors: FieldError[] = [];
  validateSpecOf(pod, errors);
  if ((pod.spec?.schedulingGates?.length ?? 0) > 0 && pod.spec.nodeName) errors.push(forbidden(specPath.child('nodeName'), 'cannot be set until all schedulingGates have been cleared'));
  if ((pod.spec?.ephemeralContainers?.length ?? 0) > 0) errors.push(forbidden(specPath.child('ephemeralContainers'), 'cannot be set on create'));
  return errors;
}

function validateMirrorAnnotation(next: v1.Pod, old: v1.Pod, errors: FieldError[]): void {
  const [after, before] = [next.metadata.annotations?.[mirrorPodAnnotation], old.metadata.annotations?.[mirrorPodAnnotation]];
  if (after === before) return;
  errors.push(forbidden(annotationsPath.key(mirrorPodAnnotation), before === undefined ? 'may not add mirror pod annotation' : 'may not remove or update mirror pod annotation'));
}

const updatable = ['`spec.containers[*].image`', '`spec.initContainers[*].image`', '`spec.activeDeadlineSeconds`', '`spec.tolerations` (only additions to existing tolerations)', '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'];

/** False: the lists do not pair up. */
function validateContainerUpdates(next: readonly v1.Container[], old: readonly v1.Container[], path: FieldPath, errors: FieldError[]): boolean {
  if (next.length !== old.length) { errors.push(forbidden(path, 'pod updates may not add or remove containers')); return false; }
  for (const [i, container] of next.entries()) {
    if (!container.image) errors.push(required(path.index(i).child('image')));
    else if (container.image.trim() !== container.image) errors.push(invalid(path.index(i).child('image'), container.image, 'must not have leading or trailing whitespace'));
  }
  return true;
}

export function validatePodUpdate(next: v1.Pod, old: v1.Pod): FieldError[] {
  const errors: FieldError[] = [];
  validateMirrorAnnotation(next, old, errors);
  if (semanticEqual(next.spec, old.spec)) return errors;
  validateSpecOf(next, errors);
  if (!validateContainerUpdates(next.spec.containers ?? [], old.spec.containers ?? [], specPath.child('containers'), errors)) return errors;
  if (!validateContainerUpdates(next.spec.initContainers ?? [], old.spec.initContainers ?? [], specPath.child('initContainers'), errors)) return errors;

  const [deadline, oldDeadline] = [next.spec.activeDeadlineSeconds, old.spec.activeDeadlineSeconds];
  if (deadline !== undefined) {
    if (deadline < 0 || deadline > maxInt32) { errors.push(invalid(specPath.child('activeDeadlineSeconds'), deadline, rangeError(0, maxInt32))); return errors; }
    if (oldDeadline !== undefined && oldDeadline < deadline) { errors.push(invalid(specPath.child('activeDeadlineSeconds'), deadline, 'must be less than or equal to previous value')); return errors; }
  } else if (oldDeadline !== undefined) errors.push(invalid(specPath.child('activeDeadlineSeconds'), null, 'must not update from a positive integer to nil value'));

  validateOnlyAddedTolerations(next.spec.tolerations ?? [], old.spec.tolerations ?? [], specPath.child('tolerations'), errors);
  const oldGates = new Set((old.spec.schedulingGates ?? []).map((gate) => gate.name));
  for (const [i, gate] of (next.spec.schedulingGates ?? []).entries()) {
    if (!oldGates.has(gate.name)) errors.push(forbidden(specPath.child('schedulingGates').index(i).child('name'), `only deletion is allowed, but found new scheduling gate '${gate.name}'`));
  }

  // Put back what may change, then nothing may differ.
  const munged = structuredClone(next.spec) as Draft<v1.PodSpec>;
  for (const list of ['containers', 'initContainers'] as const) munged[list]?.forEach((container, i) => { container.image = old.spec[list]![i]!.image; });
  munged.activeDeadlineSeconds = oldDeadline;
  munged.schedulingGates = old.spec.schedulingGates as Draft<v1.PodSchedulingGate[]>;
  munged.tolerations = old.spec.tolerations as Draft<v1.Toleration[]>;
  if ((old.spec.terminationGracePeriodSeconds ?? 0) < 0 && munged.terminationGracePeriodSeconds === 1) munged.terminationGracePeriodSeconds = old.spec.terminationGracePeriodSeconds;
  if (oldGates.size > 0) { // gated pods may still be narrowed
    const kept = Object.entries(old.spec.nodeSelector ?? {}).every(([key, value]) => munged.nodeSelector?.[key] === value);
    if (!kept) errors.push(invalid(specPath.child('nodeSelector'), munged.nodeSelector ?? null, 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'));
    munged.nodeSelector = old.spec.nodeSelector as Draft<Record<string, string>>;
    if (munged.affinity || old.spec.affinity) munged.affinity = { ...munged.affinity, nodeAffinity: old.spec.affinity?.nodeAffinity as Draft<v1.NodeAffinity> };
  }
  if (!semanticEqual(munged, old.spec)) errors.push(forbidden(specPath, `pod updates may not change fields other than ${updatable.join(',')}\n${differences(old.spec, munged).join('\n')}`));
  return errors;
}

function validateIPs(ips: readonly { readonly ip: string }[], path: FieldPath, errors: FieldError[]): void {
  for (const [i, { ip }] of ips.entries()) addInvalid(errors, path.index(i), ip, isValidIP(ip));
  if (ips.length < 2) return;
  const families = ips.map(({ ip }) => parseIP(ip)?.family);
  if (ips.length > 2 || families[0] === families[1]) errors.push(invalid(path, ips, 'may specify no more than one IP for each IP family'));
  const seen = new Set<string>();
  for (const [i, entry] of ips.entries()) { if (seen.has(entry.ip)) errors.push(duplicate(path.index(i), entry)); seen.add(entry.ip); }
}
function validateTransitions(next: readonly v1.ContainerStatus[] = [], old: readonly v1.ContainerStatus[] = [], restartPolicy: string | undefined, mayRestart: (name: string) => boolean, path: FieldPath, errors: FieldError[]): void {
  if (restartPolicy === 'Always') return;
  for (const [i, before] of old.entries()) {
    const ended = before.state?.terminated;
    if (!ended || (ended.exitCode !== 0 && restartPolicy === 'OnFailure') || mayRestart(before.name)) continue;
    for (const after of next) if (after.name === before.name && !after.state?.terminated) errors.push(forbidden(path.index(i).child('state'), 'may not be transitioned to non-terminated state'));
  }
}
const systemConditions = new Set(['PodScheduled', 'Ready', 'Initialized']);

export function validatePodStatusUpdate(next: v1.Pod, old: v1.Pod): FieldError[] {
  const errors: FieldError[] = [];
  const [status, oldStatus] = [next.status ?? {}, old.status ?? {}];
  validateMirrorAnnotation(next, old, errors);
  for (const [i, { type }] of (status.conditions ?? []).entries()) if (!systemConditions.has(type)) addInvalid(errors, field('metadata', 'conditions').index(i).child('Type'), type, isQualifiedName(type));
  if (next.spec.nodeName !== old.spec.nodeName) errors.push(forbidden(statusPath.child('nodeName'), 'may not be changed directly'));
  if (status.nominatedNodeName !== oldStatus.nominatedNodeName && status.nominatedNodeName) addInvalid(errors, statusPath.child('nominatedNodeName'), status.nominatedNodeName, nameIsDNSSubdomain(status.nominatedNodeName, false));
  if (oldStatus.qosClass !== undefined) validateImmutable(status.qosClass, oldStatus.qosClass, () => statusPath.child('qosClass'), errors);
  // A container with restart rules of its own follows those.
  const ownPolicy = new Set([...next.spec.containers ?? [], ...next.spec.initContainers ?? []].filter((container) => container.restartPolicy !== undefined).map((container) => container.name));
  validateTransitions(status.containerStatuses, oldStatus.containerStatuses, old.spec.restartPolicy, (name) => ownPolicy.has(name), statusPath.child('containerStatuses'), errors);
  validateTransitions(status.initContainerStatuses, oldStatus.initContainerStatuses, old.spec.restartPolicy, (name) => ownPolicy.has(name), statusPath.child('initContainerStatuses'), errors);
  validateTransitions(status.ephemeralContainerStatuses, oldStatus.ephemeralContainerStatuses, 'Never', () => false, statusPath.child('ephemeralContainerStatuses'), errors);
  if (status.podIPs) validateIPs(status.podIPs, statusPath.child('podIPs'), errors);
  if (status.hostIPs && status.hostIPs.length > 0) {
    if (status.hostIP !== status.hostIPs[0]!.ip) errors.push(invalid(statusPath.child('hostIPs').index(0).child('ip'), status.hostIPs[0]!.ip, 'must be equal to `hostIP`'));
    validateIPs(status.hostIPs, statusPath.child('hostIPs'), errors);
  }
  return errors;
}

const wholePod = field('');
export function validateEphemeralContainersUpdate(next: v1.Pod, old: v1.Pod): FieldError[] {
  if (old.metadata.annotations?.[mirrorPodAnnotation] !== undefined) return [forbidden(wholePod, 'static pods do not support ephemeral containers')];
  const errors: FieldError[] = [];
  validateSpecOf(next, errors);
  const path = specPath.child('ephemeralContainers');
  const now = new Map((next.spec.ephemeralContainers ?? []).map((container) => [container.name, container]));
  for (const before of old.spec.ephemeralContainers ?? []) {
    const after = now.get(before.name);
    if (!after) errors.push(forbidden(path, `existing ephemeral containers "${before.name}" may not be removed\n`));
    else if (!semanticEqual(before, after)) errors.push(forbidden(path, `existing ephemeral containers "${before.name}" may not be changed\n${differences(before, after).join('\n')}`));
  }
  return errors;
}

function withoutCpuAndMemory(container: v1.Container): unknown {
  const strip = (list: { readonly [key: string]: string } | undefined) => { const { cpu: _cpu, memory: _memory, ...rest } = list ?? {}; return rest; };
  return { ...container, resizePolicy: undefined, resources: { ...container.resources, limits: strip(container.resources?.limits), requests: strip(container.resources?.requests) } };
}
function validateContainerResize(next: v1.Container, old: v1.Container, path: FieldPath, errors: FieldError[]): void {
  const removed = (list: 'requests' | 'limits') => Object.keys(old.resources?.[list] ?? {}).some((name) => next.resources?.[list]?.[name] === undefined);
  if (removed('requests')) errors.push(forbidden(path.child('requests'), 'resource requests cannot be removed'));
  if (removed('limits')) errors.push(forbidden(path.child('limits'), 'resource limits cannot be removed'));
}
export function validatePodResize(next: v1.Pod, old: v1.Pod): FieldError[] {
  if (old.metadata.annotations?.[mirrorPodAnnotation] !== undefined) return [forbidden(wholePod, 'static pods cannot be resized')];
  if (old.spec.os?.name === 'windows') return [forbidden(wholePod, 'windows pods cannot be resized')];
  const errors: FieldError[] = [];
  validateSpecOf(next, errors);
  if (qosClassOf(next.spec) !== (old.status?.qosClass ?? qosClassOf(old.spec))) errors.push(invalid(specPath, next.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing'));
  for (const [i, container] of (next.spec.containers ?? []).entries()) {
    const before = old.spec.containers[i];
    if (!before) continue;
    if (container.name !== before.name) { errors.push(forbidden(specPath.child('containers').index(i).child('name'), 'containers may not be renamed or reordered on resize')); continue; }
    validateContainerResize(container, before, specPath.child('containers').index(i).child('resources'), errors);
    if (!semanticEqual(withoutCpuAndMemory(container), withoutCpuAndMemory(before))) errors.push(forbidden(specPath, 'only cpu and memory resources are mutable'));
  }
  for (const [i, container] of (next.spec.initContainers ?? []).entries()) {
    const before = old.spec.initContainers?.[i];
    if (!before) continue;
    if (container.name !== before.name) { errors.push(forbidden(specPath.child('initContainers').index(i).child('name'), 'init containers may not be renamed or reordered on resize')); continue; }
    if (container.restartPolicy === 'Always') {
      validateContainerResize(container, before, specPath.child('initContainers').index(i).child('resources'), errors);
      if (!semanticEqual(withoutCpuAndMemory(container), withoutCpuAndMemory(before))) errors.push(forbidden(specPath, 'only cpu and memory resources for sidecar containers are mutable'));
    } else if (!semanticEqual(container, before)) errors.push(forbidden(specPath, 'resources for non-sidecar init containers are immutable'));
  }
  const rest = (spec: v1.PodSpec) => ({ ...spec, containers: spec.containers?.length, initContainers: spec.initContainers?.length, resources: undefined });
  if (errors.length === 0 && !semanticEqual(rest(next.spec), rest(old.spec))) errors.push(forbidden(specPath, 'only cpu and memory resources are mutable'));
  return errors;
}

export function validateBinding(binding: v1.Binding): FieldError[] {
  const errors: FieldError[] = [];
  const target = field('target');
  if (binding.target?.kind && binding.target.kind !== 'Node') errors.push(notSupported(target.child('kind'), binding.target.kind, ['Node', '<empty>']));
  if (!binding.target?.name) errors.push(required(target.child('name')));
  return errors;
}
