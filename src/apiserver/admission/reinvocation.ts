/**
 * The second round of the mutating phase: when a webhook or policy changed the object, all mutating plugins run once more, and webhooks
 * and policies that asked for it (reinvocationPolicy: IfNeeded) are called again if something changed after them.
 * Source: apiserver/pkg/admission/reinvocation.go, plugin/webhook/mutating/reinvocationcontext.go.
 */
import { cloneJson, jsonEqual, type JsonObject } from '../../base/json.ts';
import type { AdmissionAttributes } from '../types.ts';

/** What one plugin keeps between the rounds. */
export class PluginRounds {
  readonly #invoked = new Set<string>();
  readonly #again = new Set<string>();
  #last: JsonObject | undefined;
  /** At the plugin's start; in the second round, built-in plugins may have changed the object since. */
  begin(object: JsonObject | undefined, second: boolean): void { if (second && !jsonEqual(object, this.#last)) this.changed(); }
  end(object: JsonObject | undefined): void { this.#last = cloneJson(object); }
  /** Whoever was invoked so far is to be invoked again. */
  changed(): void { for (const key of this.#invoked) this.#again.add(key); this.#invoked.clear(); }
  invoked(key: string): void { this.#invoked.add(key); }
  isAgain(key: string): boolean { return this.#again.has(key); }
}

export class Rounds {
  second = false;
  wanted = false;
  readonly #plugins = new Map<string, PluginRounds>();
  of(plugin: string): PluginRounds {
    let rounds = this.#plugins.get(plugin);
    if (!rounds) this.#plugins.set(plugin, rounds = new PluginRounds());
    return rounds;
  }
}
const byRequest = new WeakMap<AdmissionAttributes, Rounds>();
export function roundsOf(attributes: AdmissionAttributes): Rounds {
  let rounds = byRequest.get(attributes);
  if (!rounds) byRequest.set(attributes, rounds = new Rounds());
  return rounds;
}
/** Whether the mutating phase is to run again, which it then does as the second round. */
export function wantsSecondRound(attributes: AdmissionAttributes): boolean {
  const rounds = byRequest.get(attributes);
  if (!rounds?.wanted || rounds.second) return false;
  rounds.second = true;
  return true;
}
