/** Runs the admission plugins in their listed order. Source: apiserver/pkg/admission/chain.go. */
import { wantsSecondRound } from '../admission/reinvocation.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../types.ts';

/** The mutating phase: plugins may change `attributes.object` in place. */
export async function admit(plugins: readonly AdmissionPlugin[], attributes: AdmissionAttributes): Promise<void> {
  await admitOnce(plugins, attributes);
  if (wantsSecondRound(attributes)) await admitOnce(plugins, attributes);
}
async function admitOnce(plugins: readonly AdmissionPlugin[], attributes: AdmissionAttributes): Promise<void> {
  for (const plugin of plugins) {
    if (!plugin.admit || !plugin.handles(attributes.operation, attributes.names, attributes.subresource)) continue;
    const pending = plugin.admit(attributes);
    if (pending) await pending;
  }
}
export async function validateAdmission(plugins: readonly AdmissionPlugin[], attributes: AdmissionAttributes): Promise<void> {
  for (const plugin of plugins) {
    if (!plugin.validate || !plugin.handles(attributes.operation, attributes.names, attributes.subresource)) continue;
    const pending = plugin.validate(attributes);
    if (pending) await pending;
  }
}
