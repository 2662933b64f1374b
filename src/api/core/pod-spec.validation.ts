/**
 * The pod spec, checked once for pods and for the templates of all workloads. Expects a defaulted spec. Paths are made
 * only where a list is walked or an error is found. Source: upstream's ValidatePodSpec (pkg/apis/core/validation).
 */
import type * as v1 from './v1.ts';
import { addInvalid, duplicate, forbidden, invalid, isNegative, notFound, notSupported, required, tooLong, type FieldError, type FieldPath } from '../validation/field.ts';
import {
  isDNS1123Label, isDNS1123Subdomain, isDNS1123SubdomainWithUnderscore, isHTTPHeaderName, isQualifiedName, isValidGroupID, isValidIPForLegacyField, isValidPortName, isValidPortNum, isValidUserID, nameIsDNSSubdomain, rangeError, type Messages,
} from '../validation/names.ts';
import { validateAnnotations, validateEnum, validateLabels, validatePortNumOrName } from '../validation/meta.ts';
import { compareQuantity, formatQuantity, parseQuantity, zeroQuantity, addQuantity } from '../quantity.ts';
import { hasBacksteps, validateLocalDescendingPath, validateVolumes } from './volumes.validation.ts';
import { validateEnv, validateEnvFrom } from './env.validation.ts';
import { validateResourceRequirements } from './resources.validation.ts';
import { validateAffinity, validateTolerations, validateTopologySpread } from './scheduling.validation.ts';

type AnyContainer = v1.Container & { targetContainerName?: string };

interface PodContext {
  /** A pod rather than a template. */
  isPod: boolean;
  volumes: ReadonlyMap<string, v1.Volume>;
  claimNames: ReadonlySet<string>;
  gracePeriodSeconds: number | undefined;
  restartPolicy: string | undefined;
  hostUsers: boolean;
}

const maxInt32 = 2 ** 31 - 1;
const protocols = ['SCTP', 'TCP', 'UDP'];
const pullPolicies = ['Always', 'IfNotPresent', 'Never'];
const fail = (messages: Messages, path: () => FieldPath, value: unknown, errors: FieldError[]) => { if (messages.length > 0) addInvalid(errors, path(), value, messages); };

// ---- ports

function validatePorts(ports: readonly v1.ContainerPort[], path: FieldPath, errors: FieldError[]): void {
  let names: Set<string> | undefined;
  for (let i = 0; i < ports.length; i++) {
    const port = ports[i]!;
    if (port.name) {
      const messages = isValidPortName(port.name);
      if (messages.length > 0) addInvalid(errors, path.index(i).child('name'), port.name, messages);
      else if ((names ??= new Set()).has(port.name)) errors.push(duplicate(path.index(i).child('name'), port.name));
      else names.add(port.name);
    }
    if (!port.containerPort) errors.push(required(path.index(i).child('containerPort')));
    else fail(isValidPortNum(port.containerPort), () => path.index(i).child('containerPort'), port.containerPort, errors);
    if (port.hostPort) fail(isValidPortNum(port.hostPort), () => path.index(i).child('hostPort'), port.hostPort, errors);
    if (!port.protocol) errors.push(required(path.index(i).child('protocol')));
    else if (!protocols.includes(port.protocol)) errors.push(notSupported(path.index(i).child('protocol'), port.protocol, protocols));
  }
}
function validateHostPortConflicts(containers: readonly v1.Container[], path: FieldPath, errors: FieldError[]): void {
  let seen: Set<string> | undefined;
  for (const [c, container] of containers.entries()) {
    for (const [p, port] of (container.ports ?? []).entries()) {
      if (!port.hostPort) continue;
      const text = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`;
      if ((seen ??= new Set()).has(text)) errors.push(duplicate(path.index(c).child('ports').index(p).child('hostPort'), text));
      seen.add(text);
    }
  }
}

// ---- probes and lifecycle

interface Handler { exec?: v1.ExecAction; httpGet?: v1.HTTPGetAction; tcpSocket?: v1.TCPSocketAction; grpc?: v1.GRPCAction; sleep?: v1.SleepAction }
const moreThanOne = 'may not specify more than 1 handler type';

function validateHandler(handler: Handler, gracePeriodSeconds: number | undefined, path: FieldPath, errors: FieldError[]): void {
  let count = 0;
  const first = (name: string) => { if (count++ === 0) return true; errors.push(forbidden(path.child(name), moreThanOne)); return false; };
  if (handler.exec && first('exec') && (handler.exec.command?.length ?? 0) === 0) errors.push(required(path.child('exec', 'command')));
  if (handler.httpGet && first('httpGet')) {
    const { httpGet } = handler;
    const at = path.child('httpGet');
    if (!httpGet.path) errors.push(required(at.child('path')));
    validatePortNumOrName(httpGet.port, at, 'port', errors);
    if (httpGet.scheme !== 'HTTP' && httpGet.scheme !== 'HTTPS') errors.push(notSupported(at.child('scheme'), httpGet.scheme ?? '', ['HTTP', 'HTTPS']));
    for (const header of httpGet.httpHeaders ?? []) fail(isHTTPHeaderName(header.name), () => at.child('httpHeaders'), header.name, errors);
  }
  if (handler.tcpSocket && first('tcpSocket')) validatePortNumOrName(handler.tcpSocket.port, path.child('tcpSocket'), 'port', errors);
  if (handler.grpc && first('grpc')) validatePortNumOrName(handler.grpc.port, path.child('grpc'), 'port', errors);
  if (handler.sleep && first('sleep') && gracePeriodSeconds !== undefined && (handler.sleep.seconds < 0 || handler.sleep.seconds > gracePeriodSeconds)) {
    errors.push(invalid(path.child('sleep'), handler.sleep.seconds, `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriodSeconds})`));
  }
  if (count === 0) errors.push(required(path, 'must specify a handler type'));
}
const probeCounts = ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const;
function validateProbe(probe: v1.Probe | undefined, kind: 'livenessProbe' | 'readinessProbe' | 'startupProbe', container: FieldPath, errors: FieldError[]): void {
  if (!probe) return;
  const path = container.child(kind);
  validateHandler(probe, undefined, path, errors);
  for (const name of probeCounts) if ((probe[name] ?? 0) < 0) errors.push(invalid(path.child(name), probe[name], isNegative));
  if (probe.terminationGracePeriodSeconds !== undefined && probe.terminationGracePeriodSeconds <= 0) errors.push(invalid(path.child('terminationGracePeriodSeconds'), probe.terminationGracePeriodSeconds, 'must be greater than 0'));
  if (kind === 'readinessProbe') {
    if (probe.terminationGracePeriodSeconds !== undefined) errors.push(invalid(path.child('terminationGracePeriodSeconds'), probe.terminationGracePeriodSeconds, 'must not be set for readinessProbes'));
  } else if (probe.successThreshold !== 1) errors.push(invalid(path.child('successThreshold'), probe.successThreshold ?? 0, 'must be 1'));
}
function validateProbesAndLifecycle(container: AnyContainer, context: PodContext, path: FieldPath, errors: FieldError[]): void {
  if (container.lifecycle) {
    const { postStart, preStop } = container.lifecycle;
    if (postStart) validateHandler(postStart, context.gracePeriodSeconds, path.child('lifecycle', 'postStart'), errors);
    if (preStop) validateHandler(preStop, context.gracePeriodSeconds, path.child('lifecycle', 'preStop'), errors);
  }
  validateProbe(container.livenessProbe, 'livenessProbe', path, errors);
  validateProbe(container.readinessProbe, 'readinessProbe', path, errors);
  validateProbe(container.startupProbe, 'startupProbe', path, errors);
}

// ---- mounts

function validateMounts(mounts: readonly v1.VolumeMount[], container: AnyContainer, volumes: ReadonlyMap<string, v1.Volume>, path: FieldPath, errors: FieldError[]): void {
  const paths = new Set<string>();
  for (let i = 0; i < mounts.length; i++) {
    const mount = mounts[i]!;
    if (!mount.name) errors.push(required(path.index(i).child('name')));
    const volume = volumes.get(mount.name);
    if (!volume) errors.push(notFound(path.index(i).child('name'), mount.name ?? ''));
    if (!mount.mountPath) errors.push(required(path.index(i).child('mountPath')));
    if (paths.has(mount.mountPath)) errors.push(invalid(path.index(i).child('mountPath'), mount.mountPath, 'must be unique'));
    paths.add(mount.mountPath);
    for (const device of container.volumeDevices ?? []) {
      if (device.name === mount.name) errors.push(invalid(path.index(i).child('name'), mount.name, 'must not already exist in volumeDevices'));
      if (device.devicePath === mount.mountPath) errors.push(invalid(path.index(i).child('mountPath'), mount.mountPath, 'must not already exist as a path in volumeDevices'));
    }
    if (mount.subPath) validateLocalDescendingPath(mount.subPath, path.child('subPath'), errors);
    if (mount.subPathExpr) {
      if (mount.subPath) errors.push(invalid(path.index(i).child('subPathExpr'), mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'));
      validateLocalDescendingPath(mount.subPathExpr, path.child('subPathExpr'), errors);
    }
    if (mount.mountPropagation !== undefined) {
      if (!['Bidirectional', 'HostToContainer', 'None'].includes(mount.mountPropagation)) errors.push(notSupported(path.child('mountPropagation'), mount.mountPropagation, ['Bidirectional', 'HostToContainer', 'None']));
      else if (mount.mountPropagation === 'Bidirectional' && !container.securityContext?.privileged) errors.push(forbidden(path.child('mountPropagation'), 'Bidirectional mount propagation is available only to privileged containers'));
    }
    const recursive = mount.recursiveReadOnly;
    if (recursive !== undefined && recursive !== 'Disabled') {
      if (recursive !== 'Enabled' && recursive !== 'IfPossible') errors.push(notSupported(path.child('recursiveReadOnly'), recursive, ['Disabled', 'Enabled', 'IfPossible']));
      else {
        if (!mount.readOnly) errors.push(forbidden(path.child('recursiveReadOnly'), 'may only be specified when readOnly is true'));
        if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None') errors.push(forbidden(path.child('recursiveReadOnly'), 'may only be specified when mountPropagation is None or not specified'));
      }
    }
  }
}
function validateDevices(devices: readonly v1.VolumeDevice[], container: AnyContainer, volumes: ReadonlyMap<string, v1.Volume>, path: FieldPath, errors: FieldError[]): void {
  const [names, paths] = [new Set<string>(), new Set<string>()];
  for (const [i, { name, devicePath }] of devices.entries()) {
    const at = path.index(i);
    if (!name) errors.push(required(at.child('name')));
    if (names.has(name)) errors.push(invalid(at.child('name'), name, 'must be unique'));
    const volume = volumes.get(name);
    if (!volume) errors.push(notFound(at.child('name'), name ?? ''));
    else if (!volume.persistentVolumeClaim && !volume.ephemeral) errors.push(invalid(at.child('name'), name, 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'));
    if (!devicePath) errors.push(required(at.child('devicePath')));
    if (paths.has(devicePath)) errors.push(invalid(at.child('devicePath'), devicePath, 'must be unique'));
    if (devicePath && hasBacksteps(devicePath)) errors.push(invalid(at.child('devicePath'), devicePath, "can not contain backsteps ('..')"));
    else paths.add(devicePath);
    if ((container.volumeMounts ?? []).some((mount) => mount.name === name)) errors.push(invalid(at.child('name'), name, 'must not already exist in volumeMounts'));
    if ((container.volumeMounts ?? []).some((mount) => mount.mountPath === devicePath)) errors.push(invalid(at.child('devicePath'), devicePath, 'must not already exist as a path in volumeMounts'));
    if (name) names.add(name);
  }
}

// ---- security

function validateSeccomp(profile: v1.SeccompProfile | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!profile) return;
  if (!profile.type) errors.push(required(path.child('type'), 'type is required when seccompProfile is set'));
  else if (!['Localhost', 'RuntimeDefault', 'Unconfined'].includes(profile.type)) errors.push(notSupported(path.child('type'), profile.type, ['Localhost', 'RuntimeDefault', 'Unconfined']));
  if (profile.type === 'Localhost') {
    if (profile.localhostProfile === undefined) errors.push(required(path.child('localhostProfile'), 'must be set when seccomp type is Localhost'));
    else validateLocalDescendingPath(profile.localhostProfile, path.child('localhostProfile'), errors);
  } else if (profile.localhostProfile !== undefined) errors.push(invalid(path.child('localhostProfile'), profile, 'can only be set when seccomp type is Localhost'));
}
function validateAppArmor(profile: v1.AppArmorProfile | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!profile) return;
  const at = path.child('localhostProfile');
  const text = profile.localhostProfile;
  switch (profile.type) {
    case 'Localhost':
      if (text === undefined || text.trim() === '') errors.push(text !== undefined && text !== '' ? invalid(at, text, 'must not be padded with whitespace') : required(at, 'must be set when AppArmor type is Localhost'));
      else if (text.trim() !== text) errors.push(invalid(at, text, 'must not be padded with whitespace'));
      if ((text?.length ?? 0) > 4095) errors.push(tooLong(at, 4095));
      break;
    case 'RuntimeDefault': case 'Unconfined':
      if (text !== undefined) errors.push(invalid(at, text, 'can only be set when AppArmor type is Localhost'));
      break;
    case '': case undefined: errors.push(required(path.child('type'), 'type is required when appArmorProfile is set')); break;
    default: errors.push(notSupported(path.child('type'), profile.type, ['Localhost', 'RuntimeDefault', 'Unconfined']));
  }
}
function validateSecurityContext(security: v1.SecurityContext, hostUsers: boolean, path: FieldPath, errors: FieldError[]): void {
  if (security.runAsUser !== undefined) fail(isValidUserID(security.runAsUser), () => path.child('runAsUser'), security.runAsUser, errors);
  if (security.runAsGroup !== undefined) fail(isValidGroupID(security.runAsGroup), () => path.child('runAsGroup'), security.runAsGroup, errors);
  if (security.procMount !== undefined) {
    if (security.procMount !== 'Default' && security.procMount !== 'Unmasked') errors.push(notSupported(path.child('procMount'), security.procMount, ['Default', 'Unmasked']));
    else if (hostUsers && security.procMount === 'Unmasked') errors.push(invalid(path.child('procMount'), security.procMount, '`hostUsers` must be false to use `Unmasked`'));
  }
  validateSeccomp(security.seccompProfile, path.child('seccompProfile'), errors);
  if (security.allowPrivilegeEscalation === false) {
    if (security.privileged) errors.push(invalid(path, security, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'));
    if (security.capabilities?.add?.includes('CAP_SYS_ADMIN')) errors.push(invalid(path, security, 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'));
  }
  validateAppArmor(security.appArmorProfile, path.child('appArmorProfile'), errors);
}
const sysctlName = /^([a-z0-9][-_a-z0-9]*[a-z0-9]?[./])*([a-z0-9]([-_a-z0-9]*[a-z0-9])?)$/;
function validatePodSecurityContext(spec: v1.PodSpec, path: FieldPath, specPath: FieldPath, errors: FieldError[]): void {
  const security = spec.securityContext;
  if (spec.shareProcessNamespace && spec.hostPID) errors.push(invalid(specPath.child('shareProcessNamespace'), true, 'ShareProcessNamespace and HostPID cannot both be enabled'));
  if (!security) return;
  if (security.fsGroup !== undefined) fail(isValidGroupID(security.fsGroup), () => path.child('fsGroup'), security.fsGroup, errors);
  if (security.runAsUser !== undefined) fail(isValidUserID(security.runAsUser), () => path.child('runAsUser'), security.runAsUser, errors);
  if (security.runAsGroup !== undefined) fail(isValidGroupID(security.runAsGroup), () => path.child('runAsGroup'), security.runAsGroup, errors);
  for (const [i, group] of (security.supplementalGroups ?? []).entries()) fail(isValidGroupID(group), () => path.child('supplementalGroups').index(i), group, errors);
  const names = new Set<string>();
  for (const [i, { name }] of (security.sysctls ?? []).entries()) {
    const at = path.child('sysctls').index(i).child('name');
    if (!name) errors.push(required(at));
    else if (name.length > 253 || !sysctlName.test(name)) errors.push(invalid(at, name, `must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`));
    else if (names.has(name)) errors.push(duplicate(at, name));
    names.add(name);
  }
  validateEnum(security.fsGroupChangePolicy, ['Always', 'OnRootMismatch'], path, 'fsGroupChangePolicy', errors, { optional: true });
  validateSeccomp(security.seccompProfile, path.child('seccompProfile'), errors);
  validateAppArmor(security.appArmorProfile, path.child('appArmorProfile'), errors);
  validateEnum(security.supplementalGroupsPolicy, ['Merge', 'Strict'], path, 'supplementalGroupsPolicy', errors, { optional: true });
  validateEnum(security.seLinuxChangePolicy, ['MountOption', 'Recursive'], path, 'seLinuxChangePolicy', errors, { optional: true });
}

// ---- containers

function validateResizePolicies(policies: readonly v1.ContainerResizePolicy[], restartPolicy: string | undefined, path: FieldPath, errors: FieldError[]): void {
  const seen = new Set<string>();
  for (const [i, policy] of policies.entries()) {
    if (seen.has(policy.resourceName)) errors.push(duplicate(path.index(i), policy.resourceName));
    seen.add(policy.resourceName);
    if (!policy.resourceName) errors.push(required(path));
    else if (policy.resourceName !== 'cpu' && policy.resourceName !== 'memory') errors.push(notSupported(path, policy.resourceName, ['cpu', 'memory']));
    if (!policy.restartPolicy) errors.push(required(path));
    else if (policy.restartPolicy !== 'NotRequired' && policy.restartPolicy !== 'RestartContainer') errors.push(notSupported(path, policy.restartPolicy, ['NotRequired', 'RestartContainer']));
    if (restartPolicy === 'Never' && policy.restartPolicy !== 'NotRequired') errors.push(invalid(path, policy.restartPolicy, "must be 'NotRequired' when `restartPolicy` is 'Never'"));
  }
}
function validateContainerRestart(container: AnyContainer, path: FieldPath, errors: FieldError[]): void {
  if (container.restartPolicy === undefined) {
    if ((container.restartPolicyRules?.length ?? 0) > 0) errors.push(required(path.child('restartPolicy'), 'must specify restartPolicy when restart rules are used'));
    return;
  }
  validateEnum(container.restartPolicy, ['Always', 'Never', 'OnFailure'], path, 'restartPolicy', errors);
}
function validateContainerCommon(container: AnyContainer, context: PodContext, path: FieldPath, errors: FieldError[]): void {
  if (!container.name) errors.push(required(path.child('name')));
  else fail(isDNS1123Label(container.name), () => path.child('name'), container.name, errors);
  if (!container.image) errors.push(required(path.child('image')));
  else if (context.isPod && container.image.trim().length !== container.image.length) errors.push(invalid(path.child('image'), container.image, 'must not have leading or trailing whitespace'));
  validateEnum(container.terminationMessagePolicy, ['File', 'FallbackToLogsOnError'], path, 'terminationMessagePolicy', errors);
  if (container.ports) validatePorts(container.ports, path.child('ports'), errors);
  if (container.env) validateEnv(container.env, path.child('env'), errors);
  if (container.envFrom) validateEnvFrom(container.envFrom, path.child('envFrom'), errors);
  if (container.volumeMounts) validateMounts(container.volumeMounts, container, context.volumes, path.child('volumeMounts'), errors);
  if (container.volumeDevices) validateDevices(container.volumeDevices, container, context.volumes, path.child('volumeDevices'), errors);
  validateEnum(container.imagePullPolicy, pullPolicies, path, 'imagePullPolicy', errors);
  if (container.resources) validateResourceRequirements(container.resources, context.claimNames, path.child('resources'), errors);
  if (container.resizePolicy) validateResizePolicies(container.resizePolicy, context.restartPolicy, path.child('resizePolicy'), errors);
  if (container.securityContext) validateSecurityContext(container.securityContext, context.hostUsers, path.child('securityContext'), errors);
}
const onlySidecars = 'may not be set for init containers without restartPolicy=Always';
const ephemeralForbidden = ['ports', 'resources', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle', 'resizePolicy', 'restartPolicy'] as const;
function validateAllContainers(spec: v1.PodSpec, context: PodContext, path: FieldPath, errors: FieldError[]): void {
  const containers = spec.containers ?? [];
  const names = new Set<string>();
  const containersPath = path.child('containers');
  if (containers.length === 0) errors.push(required(containersPath));
  for (let i = 0; i < containers.length; i++) {
    const container = containers[i]!;
    const at = containersPath.index(i);
    validateContainerCommon(container, context, at, errors);
    if (names.has(container.name)) errors.push(duplicate(at.child('name'), container.name));
    names.add(container.name);
    validateProbesAndLifecycle(container, context, at, errors);
    validateContainerRestart(container, at, errors);
  }
  validateHostPortConflicts(containers, containersPath, errors);

  for (const [i, container] of (spec.initContainers ?? []).entries()) {
    const at = path.child('initContainers').index(i);
    validateContainerCommon(container, context, at, errors);
    validateContainerRestart(container, at, errors);
    if (names.has(container.name)) errors.push(duplicate(at.child('name'), container.name));
    else if (container.name) names.add(container.name);
    validateHostPortConflicts([container], path.child('initContainers'), errors);
    if (container.restartPolicy === 'Always') validateProbesAndLifecycle(container, context, at, errors);
    else for (const name of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) if (container[name]) errors.push(forbidden(at.child(name), onlySidecars));
  }

  if (!spec.ephemeralContainers || spec.ephemeralContainers.length === 0) return;
  const others = new Set(names);
  for (const [i, container] of spec.ephemeralContainers.entries()) {
    const at = path.child('ephemeralContainers').index(i);
    validateContainerCommon(container, { ...context, isPod: true }, at, errors);
    if (names.has(container.name)) errors.push(duplicate(at.child('name'), container.name));
    names.add(container.name);
    if (container.targetContainerName && !others.has(container.targetContainerName)) errors.push(notFound(at.child('targetContainerName'), container.targetContainerName));
    for (const name of ephemeralForbidden) {
      const value = container[name];
      if (value !== undefined && (typeof value !== 'object' || Object.keys(value).length > 0)) errors.push(forbidden(at.child(name), 'cannot be set for an Ephemeral Container'));
    }
    for (const [m, mount] of (container.volumeMounts ?? []).entries()) {
      for (const name of ['subPath', 'subPathExpr'] as const) if (mount[name]) errors.push(forbidden(at.child('volumeMounts').index(m).child(name), 'cannot be set for an Ephemeral Container'));
    }
  }
}

// ---- DNS, claims, resources of the pod

function validateDNS({ dnsPolicy, dnsConfig }: v1.PodSpec, path: FieldPath, errors: FieldError[]): void {
  if (dnsPolicy === 'None') {
    if (!dnsConfig) { errors.push(required(path, 'must provide `dnsConfig` when `dnsPolicy` is None')); return; }
    if ((dnsConfig.nameservers?.length ?? 0) === 0) { errors.push(required(path.child('nameservers'), 'must provide at least one DNS nameserver when `dnsPolicy` is None')); return; }
  }
  if (!dnsConfig) return;
  const { nameservers = [], searches = [], options = [] } = dnsConfig;
  if (nameservers.length > 3) errors.push(invalid(path.child('nameservers'), nameservers, 'must not have more than 3 nameservers'));
  for (const [i, server] of nameservers.entries()) fail(isValidIPForLegacyField(server), () => path.child('nameservers').index(i), server, errors);
  if (searches.length > 32) errors.push(invalid(path.child('searches'), searches, 'must not have more than 32 search paths'));
  if (searches.join(' ').length > 2048) errors.push(invalid(path.child('searches'), searches, 'must not have more than 2048 characters (including spaces) in the search list'));
  for (const [i, search] of searches.entries()) if (search !== '.') fail(isDNS1123SubdomainWithUnderscore(search.replace(/\.$/, '')), () => path.child('searches').index(i), search.replace(/\.$/, ''), errors);
  for (const [i, option] of options.entries()) if (!option.name) errors.push(required(path.child('options').index(i), 'must not be empty'));
}
function validateClaims(claims: readonly v1.PodResourceClaim[], path: FieldPath, errors: FieldError[]): void {
  const seen = new Set<string>();
  for (const [i, claim] of claims.entries()) {
    const at = path.index(i);
    if (!claim.name) errors.push(required(at.child('name')));
    else if (seen.has(claim.name)) errors.push(duplicate(at.child('name'), claim.name));
    else { fail(isDNS1123Label(claim.name), () => at.child('name'), claim.name, errors); seen.add(claim.name); }
    if (claim.resourceClaimName !== undefined && claim.resourceClaimTemplateName !== undefined) errors.push(invalid(at, claim, 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'));
    if (claim.resourceClaimName === undefined && claim.resourceClaimTemplateName === undefined) errors.push(invalid(at, claim, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'));
    for (const name of ['resourceClaimName', 'resourceClaimTemplateName'] as const) if (claim[name] !== undefined) fail(isDNS1123Subdomain(claim[name]), () => at.child(name), claim[name], errors);
  }
}
/** KEP-2837: the pod's requests cover its containers', no container's limit exceeds the pod's. */
function validatePodResources(spec: v1.PodSpec, path: FieldPath, errors: FieldError[]): void {
  const resources = spec.resources!;
  if (resources.claims) errors.push(forbidden(path.child('claims'), 'claims cannot be set for Resources at pod-level'));
  for (const list of ['limits', 'requests'] as const) {
    for (const name in resources[list]) if (name !== 'cpu' && name !== 'memory' && !name.startsWith('hugepages-')) errors.push(notSupported(path.child(list), name, ['cpu', 'hugepages-', 'memory']));
  }
  validateResourceRequirements({ ...resources, claims: undefined } as v1.ResourceRequirements, undefined, path, errors);
  try {
    for (const name in resources.requests) {
      const sum = spec.containers.reduce((total, container) => { const request = container.resources?.requests?.[name]; return request === undefined ? total : addQuantity(total, parseQuantity(request)); }, zeroQuantity);
      if (compareQuantity(sum, resources.requests[name]!) > 0) errors.push(invalid(path.child('requests').key(name), resources.requests[name], `must be greater than or equal to aggregate container requests of ${formatQuantity(sum)}`));
    }
    for (const [i, container] of spec.containers.entries()) {
      for (const name in container.resources?.limits) {
        const limit = resources.limits?.[name];
        if (limit !== undefined && compareQuantity(container.resources.limits[name]!, limit) > 0) errors.push(invalid(path.child('containers').index(i).key(name).child('limits'), container.resources.limits[name], `must be less than or equal to pod limits of ${limit}`));
      }
    }
  } catch { /* an amount that is no quantity is already an error */ }
}

// ---- the spec

const dnsPolicies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];

/** `podName`: of a pod; undefined for templates. */
export function validatePodSpec(spec: v1.PodSpec | undefined, options: { isPod: boolean; podName?: string | undefined }, path: FieldPath, errors: FieldError[]): void {
  if (!spec) { errors.push(required(path.child('containers'))); return; }
  if (spec.terminationGracePeriodSeconds === undefined) errors.push(required(path.child('terminationGracePeriodSeconds')));
  const context: PodContext = {
    isPod: options.isPod, hostUsers: spec.hostUsers !== false, restartPolicy: spec.restartPolicy, gracePeriodSeconds: spec.terminationGracePeriodSeconds,
    volumes: validateVolumes(spec.volumes, options.podName, options.isPod, path.child('volumes'), errors),
    claimNames: new Set((spec.resourceClaims ?? []).map((claim) => claim.name)),
  };
  if (spec.resourceClaims) validateClaims(spec.resourceClaims, path.child('resourceClaims'), errors);
  validateAllContainers(spec, context, path, errors);
  if (spec.resources) validatePodResources(spec, path.child('resources'), errors);
  if (spec.hostNetwork) {
    for (const [c, container] of (spec.containers ?? []).entries()) {
      for (const [p, port] of (container.ports ?? []).entries()) {
        if ((options.isPod || port.hostPort) && port.hostPort !== port.containerPort) errors.push(invalid(path.child('containers').index(c).child('ports').index(p).child('hostPort'), port.hostPort ?? 0, 'must match `containerPort` when `hostNetwork` is true'));
      }
    }
  }
  validateEnum(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], path, 'restartPolicy', errors);
  validateEnum(spec.dnsPolicy, dnsPolicies, path, 'dnsPolicy', errors);
  if (spec.nodeSelector) validateLabels(spec.nodeSelector, () => path.child('nodeSelector'), errors);
  validatePodSecurityContext(spec, path.child('securityContext'), path, errors);
  if (spec.affinity) validateAffinity(spec.affinity, path.child('affinity'), errors);
  if (spec.dnsConfig || spec.dnsPolicy === 'None') validateDNS(spec, path.child('dnsConfig'), errors);
  for (const [i, gate] of (spec.readinessGates ?? []).entries()) fail(isQualifiedName(gate.conditionType), () => path.child('readinessGates').index(i).child('conditionType'), gate.conditionType, errors);
  if (spec.schedulingGates) {
    const seen = new Set<string>();
    for (const [i, gate] of spec.schedulingGates.entries()) {
      const at = path.child('schedulingGates').index(i);
      fail(isQualifiedName(gate.name), () => at, gate.name, errors);
      if (seen.has(gate.name)) errors.push(duplicate(at, gate.name));
      seen.add(gate.name);
    }
  }
  if (spec.topologySpreadConstraints) validateTopologySpread(spec.topologySpreadConstraints, path.child('topologySpreadConstraints'), errors);
  if (spec.hostUsers === false) {
    if (spec.hostNetwork) errors.push(forbidden(path.child('hostNetwork'), 'when `hostUsers` is false'));
    if (spec.hostPID) errors.push(forbidden(path.child('hostPID'), 'when `hostUsers` is false'));
    if (spec.hostIPC) errors.push(forbidden(path.child('hostIPC'), 'when `hostUsers` is false'));
  }
  if (spec.serviceAccountName) fail(nameIsDNSSubdomain(spec.serviceAccountName, false), () => path.child('serviceAccountName'), spec.serviceAccountName, errors);
  if (spec.nodeName) fail(nameIsDNSSubdomain(spec.nodeName, false), () => path.child('nodeName'), spec.nodeName, errors);
  if (spec.activeDeadlineSeconds !== undefined && (spec.activeDeadlineSeconds < 1 || spec.activeDeadlineSeconds > maxInt32)) errors.push(invalid(path.child('activeDeadlineSeconds'), spec.activeDeadlineSeconds, rangeError(1, maxInt32)));
  if (spec.hostname) fail(isDNS1123Label(spec.hostname), () => path.child('hostname'), spec.hostname, errors);
  if (spec.subdomain) fail(isDNS1123Label(spec.subdomain), () => path.child('subdomain'), spec.subdomain, errors);
  if (spec.tolerations) validateTolerations(spec.tolerations, path.child('tolerations'), errors);
  for (const [i, alias] of (spec.hostAliases ?? []).entries()) {
    const at = path.child('hostAliases').index(i);
    fail(isValidIPForLegacyField(alias.ip), () => at.child('ip'), alias.ip, errors);
    for (const [h, hostname] of (alias.hostnames ?? []).entries()) fail(isDNS1123Subdomain(hostname), () => at.child('hostnames').index(h), hostname, errors);
  }
  if (spec.priorityClassName) fail(nameIsDNSSubdomain(spec.priorityClassName, false), () => path.child('priorityClassName'), spec.priorityClassName, errors);
  if (spec.runtimeClassName !== undefined) fail(nameIsDNSSubdomain(spec.runtimeClassName, false), () => path.child('runtimeClassName'), spec.runtimeClassName, errors);
  if (spec.preemptionPolicy !== undefined) validateEnum(spec.preemptionPolicy, ['PreemptLowerPriority', 'Never'], path, 'preemptionPolicy', errors);
  if (spec.overhead) validateResourceRequirements({ limits: spec.overhead }, undefined, path.child('overhead'), errors);
  if (spec.os) validateEnum(spec.os.name, ['linux', 'windows'], path.child('os'), 'name', errors);
}

export function validatePodTemplate(template: v1.PodTemplateSpec | undefined, path: FieldPath, errors: FieldError[]): void {
  if (!template) { errors.push(required(path)); return; }
  validateLabels(template.metadata?.labels, () => path.child('labels'), errors);
  validateAnnotations(template.metadata?.annotations, () => path.child('annotations'), errors);
  validatePodSpec(template.spec, { isPod: false }, path.child('spec'), errors);
  if ((template.spec?.ephemeralContainers?.length ?? 0) > 0) errors.push(forbidden(path.child('spec', 'ephemeralContainers'), 'ephemeral containers not allowed in pod template'));
}
