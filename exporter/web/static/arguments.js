// llama-server's arguments as lines for people: an option and its value in one line, anything unusual as a JSON string.

const unusual = (argument) => argument === "" || argument !== argument.trim() || /[\n\r]/.test(argument)
  || argument.startsWith('"') || (argument.startsWith("-") && /\s/.test(argument));

/** Text of a list of arguments; `toArguments` makes the same list of it. */
export function toLines(list) {
  const lines = [];
  for (let index = 0; index < list.length; index += 1) {
    const [argument, value] = [list[index], list[index + 1]];
    if (unusual(argument)) {
      lines.push(JSON.stringify(argument));
    } else if (argument.startsWith("-") && value !== undefined && !value.startsWith("-") && !unusual(value)) {
      lines.push(`${argument} ${value}`);
      index += 1;
    } else {
      lines.push(argument);
    }
  }
  return lines.join("\n");
}

/** Arguments of a text. A line that begins with - is an option, and what follows its first space is its value. */
export function toArguments(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).flatMap((line) => {
    if (line.startsWith('"')) return [JSON.parse(line)];
    const space = line.search(/\s/);
    return line.startsWith("-") && space > 0 ? [line.slice(0, space), line.slice(space).trim()] : [line];
  });
}
