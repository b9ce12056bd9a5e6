// Numbers for people. What is not known is a dash, never a zero.

export const UNKNOWN = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** 0.42, 7.3, 128, 12,345 */
export function number(value) {
  if (!known(value)) return UNKNOWN;
  const digits = value !== 0 && Math.abs(value) < 10 ? (Math.abs(value) < 1 ? 2 : 1) : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** A ratio of 0 to 1 as 42 %. */
export const percent = (ratio) => (known(ratio) ? `${Math.round(ratio * 100)} %` : UNKNOWN);

/** Bytes as 7.3 GiB. */
export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, value >= 1 ? Math.floor(Math.log2(value) / 10) : 0);
  return `${number(value / 1024 ** power)} ${units[power]}`;
}

/** Seconds as 12 s, 3 min 20 s, 5 h 2 min, 3 d 4 h. */
export function duration(seconds) {
  if (!known(seconds)) return UNKNOWN;
  const whole = Math.floor(seconds);
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).filter(([count]) => count > 0).map((part) => part.join(" ")).join(" ");
}

/** "1 request", "2 requests" */
export const count = (value, noun) => `${value} ${noun}${value === 1 ? "" : "s"}`;

/** The time of day of a date, or of its RFC 3339 text. */
export const clock = (date) => new Date(date).toLocaleTimeString("en-GB");
