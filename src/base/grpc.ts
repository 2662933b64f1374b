/**
 * gRPC calls over unix sockets, TCP and TLS: unary, server-streaming and both-ways, with our own protobuf codec. A thin layer on
 * @grpc/grpc-js that adds AbortSignals, limits and `GrpcError`. Used for CRI, containerd and etcd. A lost connection is made again
 * by itself; calls meanwhile fail UNAVAILABLE at once, or wait with `waitForReady`. Deadlines are the machine's time: this is I/O.
 */
import { type CallOptions, Client, type ClientDuplexStream, type ClientReadableStream, credentials, Metadata, type ServiceError, status as grpcStatus } from '@grpc/grpc-js';
import { GrpcError, grpcCodes } from './grpc-status.ts';

export { GrpcError, type GrpcCode, hasGrpcCode } from './grpc-status.ts';

/** Largest message sent or received unless a client says otherwise; CRI's own limit. */
export const maxGrpcMessageBytes = 16 * 1024 * 1024;

/** One method: `path` is `/package.Service/Method`. Make it from a base/protobuf.ts definition's encode and decode. */
export interface GrpcMethod<Request, Response> {
  readonly path: string;
  encode(request: Request): Uint8Array;
  decode(bytes: Uint8Array): Response;
}

export interface GrpcTls { ca?: string | Buffer; cert?: string | Buffer; key?: string | Buffer; serverName?: string }
export interface GrpcCallOptions {
  /** Default: none. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Wait for the connection instead of failing UNAVAILABLE; give a timeout or a signal with it. */
  waitForReady?: boolean;
  metadata?: Readonly<Record<string, string>>;
}

/** Both directions of a call. `write` resolves when the transport takes more; iterating ends or throws with the call. */
export interface GrpcDuplex<Request, Response> extends AsyncIterable<Response> {
  write(request: Request): Promise<void>;
  end(): void;
  cancel(): void;
}

export class GrpcClient implements Disposable {
  readonly #client: Client;
  readonly #metadata: Readonly<Record<string, string>>;

  /** `address`: `unix:///run/x.sock`, an absolute path, or `host:port`. Connects on the first call. `metadata` goes with every call. */
  constructor(options: { address: string; tls?: GrpcTls; maxMessageBytes?: number; metadata?: Readonly<Record<string, string>> }) {
    const { address, tls, maxMessageBytes = maxGrpcMessageBytes } = options;
    const path = /^(?:unix:(?:\/\/)?)?(\/.*)$/.exec(address)?.[1];
    const channelCredentials = tls
      ? credentials.createSsl(buffer(tls.ca), buffer(tls.key), buffer(tls.cert))
      : credentials.createInsecure();
    this.#metadata = options.metadata ?? {};
    this.#client = new Client(path ? `unix:${path}` : address.replace(/^(https?|dns|tcp):\/\//, ''), channelCredentials, {
      'grpc.max_receive_message_length': maxMessageBytes, 'grpc.max_send_message_length': maxMessageBytes,
      'grpc.initial_reconnect_backoff_ms': 100, 'grpc.min_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.use_local_subchannel_pool': 1, 'grpc.enable_http_proxy': 0, 'grpc.service_config_disable_resolution': 1,
      ...(path ? { 'grpc.default_authority': 'localhost' } : {}),
      ...(tls?.serverName ? { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName } : {}),
    });
  }

  unary<Request, Response>(method: GrpcMethod<Request, Response>, request: Request, options: GrpcCallOptions = {}): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (options.signal?.aborted) { reject(options.signal.reason as Error); return; }
      const call = this.#client.makeUnaryRequest(method.path, encoder(method), decoder(method), request, this.#metadataFor(options), callOptions(options),
        (error, response) => {
          options.signal?.removeEventListener('abort', cancel);
          if (error) reject(options.signal?.aborted ? options.signal.reason as Error : grpcError(error, method.path));
          else resolve(response as Response);
        });
      const cancel = () => call.cancel();
      options.signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  /** Items as the consumer takes them (the remote is held back by flow control). Leaving the loop cancels the call; an abort throws the signal's reason. */
  async *serverStream<Request, Response>(method: GrpcMethod<Request, Response>, request: Request, options: GrpcCallOptions = {}): AsyncGenerator<Response, void, undefined> {
    options.signal?.throwIfAborted();
    const call = this.#client.makeServerStreamRequest(method.path, encoder(method), decoder(method), request, this.#metadataFor(options), callOptions(options));
    yield* items(call, method.path, options.signal);
  }

  duplex<Request, Response>(method: GrpcMethod<Request, Response>, options: GrpcCallOptions = {}): GrpcDuplex<Request, Response> {
    options.signal?.throwIfAborted();
    const call = this.#client.makeBidiStreamRequest(method.path, encoder(method), decoder(method), this.#metadataFor(options), callOptions(options));
    call.on('error', () => {}); // seen by the iterator too; a caller that only writes must not bring the process down
    return {
      write: (request) => new Promise<void>((resolve, reject) => {
        if (call.destroyed || call.writableEnded) reject(new GrpcError('CANCELLED', 'the stream has ended', method.path));
        else if (call.write(request)) resolve();
        else {
          const done = () => { call.off('drain', done); call.off('close', done); resolve(); };
          call.once('drain', done);
          call.once('close', done);
        }
      }),
      end: () => { call.end(); },
      cancel: () => { call.cancel(); },
      [Symbol.asyncIterator]: () => items<Response>(call, method.path, options.signal),
    };
  }

  close(): void { this.#client.close(); }
  [Symbol.dispose](): void { this.close(); }

  #metadataFor(options: GrpcCallOptions): Metadata {
    const metadata = new Metadata({ waitForReady: options.waitForReady ?? false });
    for (const [name, value] of Object.entries({ ...this.#metadata, ...options.metadata })) metadata.set(name, value);
    return metadata;
  }
}

async function* items<Response>(call: ClientReadableStream<Response> | ClientDuplexStream<never, Response>, path: string, signal: AbortSignal | undefined): AsyncGenerator<Response, void, undefined> {
  const cancel = () => call.cancel();
  call.on('error', () => {}); // an error after the loop was left
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    for await (const item of call) yield item as Response;
    signal?.throwIfAborted();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw isServiceError(error) ? grpcError(error, path) : error;
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

const encoder = <Request>(method: GrpcMethod<Request, unknown>) => (request: Request) => { const bytes = method.encode(request); return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length); };
const decoder = <Response>(method: GrpcMethod<never, Response>) => (bytes: Buffer) => method.decode(bytes);
const callOptions = (options: GrpcCallOptions): CallOptions => (options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs });
const buffer = (text: string | Buffer | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text as string));
const isServiceError = (error: unknown): error is ServiceError => error instanceof Error && typeof (error as Partial<ServiceError>).code === 'number';

function grpcError(error: ServiceError, path: string): GrpcError {
  const code = grpcCodes[error.code ?? grpcStatus.UNKNOWN] ?? 'UNKNOWN';
  return new GrpcError(code, error.details || error.message, path, { cause: error });
}
