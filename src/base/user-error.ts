/** An error meant for the person at the terminal: one sentence that says what happened and the cure. Printed without a stack. */
export class UserError extends Error {
  /** The process's exit code. */
  readonly exitCode: number;
  constructor(message: string, options: ErrorOptions & { exitCode?: number } = {}) {
    super(message, options);
    this.name = 'UserError';
    this.exitCode = options.exitCode ?? 1;
  }
}
