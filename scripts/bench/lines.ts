/** Yields the lines of a text stream. */
export async function* lines(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const found = rest.split("\n");
    rest = found.pop()!;
    yield* found;
  }
}
