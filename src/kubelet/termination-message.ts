/** A container's last words. Text: kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure. Limits: 4096 bytes of a file, 2048 bytes or 80 lines of a log. */
import type { Host } from './host.ts';
import { annotations } from './names.ts';
import type { ContainerStatus } from './runtime/runtime.ts';

const fileLimitBytes = 4096;
const logLimitBytes = 2048;
const logLimitLines = 80;

/** CRI's log lines are `time stream P|F text`. */
export function criLogText(text: string): string {
  return text.split('\n').map((line) => {
    const match = /^\S+ (?:stdout|stderr) ([PF])\S* ?(.*)$/s.exec(line);
    return match ? match[2]! + (match[1] === 'F' ? '\n' : '') : '';
  }).join('');
}

export function createTerminationReader(host: Host): (status: ContainerStatus) => Promise<string> {
  return async (status) => {
    if (host.simulated) return '';
    const path = status.annotations[annotations.terminationMessagePath];
    const mount = path ? status.mounts.find(({ containerPath }) => containerPath === path) : undefined;
    if (mount) {
      try {
        const text = await host.readFile(mount.hostPath, fileLimitBytes);
        if (text) return text;
      } catch (error) { return `Error on reading termination log ${mount.hostPath}: ${(error as Error).message}`; }
    }
    if (status.annotations[annotations.terminationMessagePolicy] !== 'FallbackToLogsOnError' || status.exitCode === 0 || !status.logPath) return '';
    const tail = criLogText(await host.readTail(status.logPath, logLimitBytes * 2).catch(() => '')).split('\n').slice(-logLimitLines - 1).join('\n');
    return Buffer.from(tail).subarray(-logLimitBytes).toString();
  };
}
