/**
 * The error for options that `serve()` does not accept.
 *
 * @module
 */

/** The error for an option that is invalid, or that would make the server an open proxy. */
export class OptionError extends TypeError {
  /** Always `"OptionError"`. */
  override readonly name = "OptionError";
  /** The option's name, such as `limits.sessions`. */
  readonly option: string;
  /**
   * `open-proxy` if the server would be reachable from other machines, not everyone
   * needs a login, and `openProxy` is not set.
   */
  readonly code: "invalid" | "open-proxy";

  /** The message begins with the name of the option. */
  constructor(
    option: string,
    message: string,
    code: OptionError["code"] = "invalid",
  ) {
    super(message);
    this.option = option;
    this.code = code;
  }
}
