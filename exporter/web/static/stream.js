// One connection for everything that is live: server-sent events of the exporter, and whether they still come.

const PATH = "api/v1/events";
/** The exporter sends numbers every second: after so many without any, what the page shows is old. */
const STALE_AFTER = 3_500;
const RETRY_AFTER = 2_000;

/**
 * Follow the events until the page is closed. `listeners` has `status`, `metrics` and `log`, each called with the
 * decoded event, and `connection`, called with true when events come and false when they stopped coming.
 */
export function follow(listeners) {
  let source = null;
  let heardAt = 0;
  let live = null;

  const alive = (now) => {
    if (live !== now) listeners.connection((live = now));
  };

  function connect() {
    source = new EventSource(PATH);
    for (const name of ["status", "metrics", "log"]) {
      source.addEventListener(name, (event) => {
        heardAt = Date.now();
        if (name === "status") alive(true);
        listeners[name](JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => {
      alive(false);
      // After an answer that is no stream (a proxy's error, say) the browser does not try again by itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_AFTER);
    });
  }

  setInterval(() => {
    if (source.readyState === EventSource.OPEN && Date.now() - heardAt > STALE_AFTER) {
      // Open, but silent: the way to the exporter is gone without a word.
      alive(false);
      source.close();
      heardAt = Date.now();
      connect();
    }
  }, 500);
  connect();
}
