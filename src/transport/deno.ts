import type { Transport } from "./transport.ts";
export const denoTransport: Transport = undefined!;
