// One connection for everything that is live: server-sent events of the exporter, and whether they still come.

const PATH = "api/v1/events";
/** The exporter sends numbers every second: after so many without any, what the page shows is old. */
const STALE_AFTER = 3_500;
const RETRY_AFTER = 2_000;

/**
 * Follow the events while the page can be seen: browsers open six connections to a host, and pages in the background
 * must not use them up. `listeners` has `status`, `metrics` and `log`, each called with the decoded event, and
 * `connection`, called with true when events come and false when they stopped coming.
 */
export function follow(listeners) {
  let source = null;
  let heardAt = 0;
  let live = null;

  const alive = (now) => {
    if (live !== now) listeners.connection((live = now));
  };

  function connect() {
    if (source !== null || document.hidden) return;
    source = new EventSource(PATH);
    heardAt = Date.now();
    for (const name of ["status", "metrics", "log"]) {
      source.addEventListener(name, (event) => {
        heardAt = Date.now();
        if (name === "status") alive(true);
        listeners[name](JSON.parse(event.data));
      });
    }
    source.addEventListener("error", ({ target }) => {
      alive(false);
      // After an answer that is no stream (a proxy's error, say) the browser does not try again by itself.
      if (target.readyState === EventSource.CLOSED && target === source) {
        source = null;
        setTimeout(connect, RETRY_AFTER);
      }
    });
  }

  function disconnect() {
    source?.close();
    source = null;
    alive(false);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  setInterval(() => {
    // Open, but silent: the way to the exporter is gone without a word.
    if (source?.readyState === EventSource.OPEN && Date.now() - heardAt > STALE_AFTER) {
      disconnect();
      connect();
    }
  }, 500);
  connect();
}
