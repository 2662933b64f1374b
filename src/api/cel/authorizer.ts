/**
 * The `authorizer` variable of policies: `authorizer.group('apps').resource('deployments').namespace('x').check('create').allowed()`.
 * Decisions are asked for asynchronously while expressions run at once: an unknown one stops the run with `Undecided`, is fetched and kept,
 * and the run starts again (`withDecisions`). Source: apiserver/pkg/cel/library/authz.go.
 */
import { fn, type Library } from './overloads.ts';
import { text } from './standard.ts';
import { CelError, Opaque, type Value } from './values.ts';

export interface Question {
  /** Default: the user of the request. */
  serviceAccount?: { namespace: string; name: string };
  path?: string;
  group: string; resource: string; subresource: string; namespace: string; name: string; verb: string;
  fieldSelector?: string; labelSelector?: string;
}
export interface Answer { allowed: boolean; reason: string; error?: string }

/** Not an error of the expression: what it asks is not known yet. */
export class Undecided extends CelError {
  override name = 'Undecided';
  readonly question: Question;
  constructor(question: Question) { super('the decision is being fetched', true); this.question = question; }
}

/** Questions that one evaluation may ask. */
const maxQuestions = 200;

export class Decisions {
  readonly #known = new Map<string, Answer>();
  readonly #ask: (question: Question) => Promise<Answer>;
  constructor(ask: (question: Question) => Promise<Answer>) { this.#ask = ask; }
  get(question: Question): Answer {
    const known = this.#known.get(JSON.stringify(question));
    if (!known) throw new Undecided(question);
    return known;
  }
  /** Runs until all that it asks is known. `run` starts afresh each time. */
  async run<T>(run: () => T): Promise<T> {
    for (;;) {
      try { return run(); } catch (err) {
        if (!(err instanceof Undecided)) throw err;
        if (this.#known.size >= maxQuestions) throw new CelError(`an expression asks the authorizer more than ${maxQuestions} questions`, true);
        this.#known.set(JSON.stringify(err.question), await this.#ask(err.question));
      }
    }
  }
}

const blank: Question = { group: '', resource: '', subresource: '', namespace: '', name: '', verb: '' };
class Step extends Opaque {
  readonly type: string;
  readonly decisions: Decisions;
  readonly question: Question;
  constructor(type: string, decisions: Decisions, question: Question) { super(); this.type = type; this.decisions = decisions; this.question = question; }
}
class DecisionValue extends Opaque {
  readonly type = 'kubernetes.authorization.Decision';
  readonly answer: Answer;
  constructor(answer: Answer) { super(); this.answer = answer; }
}
const A = 'kubernetes.authorization.Authorizer';
const P = 'kubernetes.authorization.PathCheck';
const G = 'kubernetes.authorization.GroupCheck';
const R = 'kubernetes.authorization.ResourceCheck';
const D = 'kubernetes.authorization.Decision';
export const authorizerTypeName = A;
export const resourceCheckTypeName = R;

export const authorizerValue = (decisions: Decisions): Value => new Step(A, decisions, blank);
/** `authorizer.requestResource`: the resource of the request. */
export const requestResourceValue = (decisions: Decisions, of: Partial<Question>): Value => new Step(R, decisions, { ...blank, ...of });

const step = (args: readonly Value[]): Step => args[0] as unknown as Step;
const then = (type: string, change: (args: readonly Value[]) => Partial<Question>) => (args: readonly Value[]): Value => new Step(type, step(args).decisions, { ...step(args).question, ...change(args) });
const check = (args: readonly Value[]): Value => new DecisionValue(step(args).decisions.get({ ...step(args).question, verb: text(args, 1) }));
const answer = (args: readonly Value[]): Answer => (args[0] as unknown as DecisionValue).answer;
const nonEmpty = (value: string, what: string): string => { if (value === '') throw new CelError(`${what} must not be empty`); return value; };

export const authorizerLibrary: Library = [
  fn(`<${A}>.path(string) ${P}`, then(P, (args) => ({ path: nonEmpty(text(args, 1), 'path') }))),
  fn(`<${A}>.group(string) ${G}`, then(G, (args) => ({ group: text(args, 1) }))),
  fn(`<${A}>.serviceAccount(string, string) ${A}`, then(A, (args) => ({ serviceAccount: { namespace: text(args, 1), name: text(args, 2) } }))),
  fn(`<${G}>.resource(string) ${R}`, then(R, (args) => ({ resource: text(args, 1) }))),
  fn(`<${R}>.subresource(string) ${R}`, then(R, (args) => ({ subresource: text(args, 1) }))),
  fn(`<${R}>.namespace(string) ${R}`, then(R, (args) => ({ namespace: text(args, 1) }))),
  fn(`<${R}>.name(string) ${R}`, then(R, (args) => ({ name: text(args, 1) }))),
  fn(`<${R}>.fieldSelector(string) ${R}`, then(R, (args) => ({ fieldSelector: text(args, 1) }))),
  fn(`<${R}>.labelSelector(string) ${R}`, then(R, (args) => ({ labelSelector: text(args, 1) }))),
  fn(`<${P}>.check(string) ${D}`, check), fn(`<${R}>.check(string) ${D}`, check),
  fn(`<${D}>.allowed() bool`, (args) => answer(args).allowed), fn(`<${D}>.reason() string`, (args) => answer(args).reason),
  fn(`<${D}>.errored() bool`, (args) => answer(args).error !== undefined), fn(`<${D}>.error() string`, (args) => answer(args).error ?? ''),
];
