/** gRPC's status codes and the error that carries one. Apart from grpc.ts, so that code which only pretends to be a remote need not load the transport. Source: grpc.io/docs/guides/status-codes */
export const grpcCodes = ['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'] as const;
export type GrpcCode = typeof grpcCodes[number];

/** `details` is the remote's text alone; `message` adds the code, as Go prints it. */
export class GrpcError extends Error {
  readonly code: GrpcCode;
  readonly details: string;
  /** Which method failed, such as `/runtime.v1.RuntimeService/Version`. */
  readonly method: string;
  constructor(code: GrpcCode, details: string, method = '', options?: ErrorOptions) {
    super(`rpc error: code = ${goName(code)} desc = ${details}`, options);
    this.name = 'GrpcError';
    this.code = code;
    this.details = details;
    this.method = method;
  }
}

/** NOT_FOUND → NotFound; the spelling in Go's messages, which users match on. */
export function goName(code: GrpcCode): string {
  return code === 'OK' ? 'OK' : code === 'CANCELLED' ? 'Canceled' : code.toLowerCase().replace(/(^|_)([a-z])/g, (_, __, letter: string) => letter.toUpperCase());
}

export function hasGrpcCode(error: unknown, ...codes: GrpcCode[]): error is GrpcError {
  return error instanceof GrpcError && codes.includes(error.code);
}
