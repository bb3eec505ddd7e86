/// <reference lib="deno.unstable" />

/**
 * The lint rules of this project.
 *
 * @module
 */

/** The folders whose code creates functions for each session. */
const ROOMS = /\/src\/(client|protocol|server|transport)\//;

/** Whether an expression is a function literal once its types are erased. */
function isFunction(node: Deno.lint.Node): boolean {
  switch (node.type) {
    case "ArrowFunctionExpression":
    case "FunctionExpression":
      return true;
    case "TSAsExpression":
    case "TSNonNullExpression":
    case "TSSatisfiesExpression":
    case "TSTypeAssertion":
      return isFunction(node.expression);
    default:
      return false;
  }
}

/** Whether an expression is a property once its types are erased. */
function isProperty(node: Deno.lint.Node): boolean {
  return node.type === "TSNonNullExpression" || node.type === "TSAsExpression"
    ? isProperty(node.expression)
    : node.type === "MemberExpression";
}

/** The last column at which a line of a comment may end. */
const COMMENT_WIDTH = 100;

const URL_PATTERN = /https?:\/\/\S+/g;

/** Whether a line is too long, without its URLs, which cannot be wrapped. */
const isTooLong = (line: string): boolean =>
  line.length > COMMENT_WIDTH &&
  [...line.replaceAll(URL_PATTERN, "")].length > COMMENT_WIDTH;

/** The lines of a text from one offset to another, with the offsets of each. */
function* linesIn(
  text: string,
  from: number,
  to: number,
): Generator<[start: number, end: number]> {
  let start = text.lastIndexOf("\n", from - 1) + 1;
  while (start < to) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    yield [start, end];
    start = end + 1;
  }
}

/**
 * `no-old-functions`: V8 treats a function literal that is assigned to a
 * property (`it.x = () => y`) as a method and allocates it in the old
 * generation. Such a function of a session keeps the whole session alive after
 * its end, until the next full garbage collection, and each minor collection
 * before copies the session. A function that is assigned to a variable first, or
 * that is a value of an object literal or of a field, is allocated in the young
 * generation as other objects.
 *
 * `comment-width`: `deno fmt` wraps code, but not comments.
 */
const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    "no-old-functions": {
      create(context) {
        if (!ROOMS.test(context.filename)) return {};
        return {
          AssignmentExpression(node) {
            if (!isProperty(node.left) || !isFunction(node.right)) return;
            context.report({
              node,
              message: "V8 allocates such a function in the old generation",
              hint:
                "Assign the function to a constant, and the constant to the property",
            });
          },
        };
      },
    },
    "comment-width": {
      create(context) {
        return {
          Program() {
            const { text } = context.sourceCode;
            for (const { range } of context.sourceCode.getAllComments()) {
              for (const [start, end] of linesIn(text, ...range)) {
                if (!isTooLong(text.slice(start, end))) continue;
                context.report({
                  range: [Math.max(start, range[0]), Math.min(end, range[1])],
                  message: `The comment ends after column ${COMMENT_WIDTH}`,
                  hint: "Wrap it",
                });
              }
            }
          },
        };
      },
    },
  },
};

export default plugin;
