/* A libnvidia-ml.so.1 without GPUs: symbols, structs and return codes as NVIDIA's nvml.h declares them, values from a
 * file. The file, named by NVML_STUB, holds lines KEY=VALUE and is read anew whenever it changes; without one there are
 * two idle GPUs, or NVML_STUB_GPUS of them. A device is 0, 1, ... or 0:0, 0:1 for the MIG slices of 0.
 *
 *   gpus=2                     how many there are, from the next nvmlInit on
 *   mig.0=2                    GPU 0 is cut into two slices
 *   power.0=250000             a value of device 0 in NVML's unit; the names are in the functions below
 *   error.0.FUNCTION=3         the function answers device 0 with this nvmlReturn_t
 *   error.FUNCTION=9           for functions that take no device, nvmlInitWithFlags among them
 *   lost.1=1                   everything about device 1 answers GPU_IS_LOST
 *   epoch=2                    a change unloads the driver: all answers are UNINITIALIZED until the next nvmlInit
 *   compute.0=PID:BYTES,...    processes; BYTES - is NVML_VALUE_NOT_AVAILABLE; graphics.0 likewise
 *   use.0=PID:PERCENT,...      process utilization, sampled now
 *   no_samples.0=1             process utilization is none, and no error
 *   xid=0:79,1:31              XID errors, each of which is told once
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       TIMEOUT = 10, GPU_IS_LOST = 15, VERSION_MISMATCH = 25 };
enum { MAX_GPUS = 16, MAX_SLICES = 7, MAX_LINES = 512 };

typedef unsigned int uint;
typedef unsigned long long ull;
typedef struct { char id[8]; int gpu, slice; } Device;

static Device devices[MAX_GPUS][MAX_SLICES + 1]; /* the last of a row is the card itself */
static int initialized, gpus, epoch, watched[MAX_GPUS];

/* NVML may be called from several threads: each has its own reading of the file. */
static __thread char text[65536], *keys[MAX_LINES], *values[MAX_LINES];
static __thread int lines;

static void load(void) {
  static __thread char last[4096];
  static __thread struct timespec changed;
  static __thread ino_t file_number;
  const char *path = getenv("NVML_STUB");
  struct stat now;
  if (!path || stat(path, &now)) { lines = 0; return; }
  if (!strcmp(path, last) && now.st_mtim.tv_sec == changed.tv_sec && now.st_mtim.tv_nsec == changed.tv_nsec &&
      now.st_ino == file_number)
    return;
  snprintf(last, sizeof last, "%s", path);
  changed = now.st_mtim, file_number = now.st_ino, lines = 0;
  FILE *file = fopen(path, "r");
  if (!file) return;
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  for (char *rest = text, *line; lines < MAX_LINES && (line = strsep(&rest, "\n"));) {
    char *equals = strchr(line, '=');
    if (!equals) continue;
    *equals = 0, keys[lines] = line, values[lines++] = equals + 1;
  }
}

static const char *find(const char *name, const char *id) {
  char key[128];
  snprintf(key, sizeof key, id ? "%s.%s" : "%s", name, id);
  for (int i = 0; i < lines; i++)
    if (!strcmp(keys[i], key)) return values[i];
  return NULL;
}

static ull value(const char *name, const Device *device, ull otherwise) {
  const char *found = find(name, device ? device->id : NULL);
  return found ? strtoull(found, NULL, 0) : otherwise;
}

static int error_of(const char *function, const char *id) {
  char key[128];
  snprintf(key, sizeof key, id ? "error.%s.%s" : "error.%s%s", id ? id : function, id ? function : "");
  const char *found = find(key, NULL);
  return found ? atoi(found) : SUCCESS;
}

static int checked(const char *function, const Device *device) {
  load();
  if (!initialized || value("epoch", NULL, 0) != (ull)epoch) return UNINITIALIZED;
  if (device) {
    char card[8];
    snprintf(card, sizeof card, "%d", device->gpu);
    if (find("lost", card)) return GPU_IS_LOST;
  }
  return error_of(function, device ? device->id : NULL);
}

#define CHECK(device) do { int error = checked(__func__, device); if (error) return error; } while (0)
#define GIVE(type, name, otherwise) { CHECK(device); *out = (type)value(name, device, otherwise); return SUCCESS; }

int nvmlInitWithFlags(uint flags) {
  (void)flags;
  load();
  int error = error_of(__func__, NULL);
  if (error) return error;
  if (!initialized++) {
    const char *count = getenv("NVML_STUB_GPUS");
    gpus = (int)value("gpus", NULL, count ? strtoull(count, NULL, 10) : 2);
    epoch = (int)value("epoch", NULL, 0);
    for (int gpu = 0; gpu < MAX_GPUS; gpu++)
      for (int slice = 0; slice <= MAX_SLICES; slice++) {
        Device *device = &devices[gpu][slice];
        device->gpu = gpu, device->slice = slice == MAX_SLICES ? -1 : slice;
        snprintf(device->id, sizeof device->id, device->slice < 0 ? "%d" : "%d:%d", gpu, slice);
      }
  }
  return SUCCESS;
}
int nvmlShutdown(void) {
  if (!initialized) return UNINITIALIZED;
  initialized--;
  return SUCCESS;
}
const char *nvmlErrorString(int code) { (void)code; return "an error"; }
int nvmlSystemGetDriverVersion(char *out, uint length) { CHECK(NULL); snprintf(out, length, "570.86.15"); return SUCCESS; }
int nvmlDeviceGetCount_v2(uint *out) { CHECK(NULL); *out = gpus; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(uint index, Device **out) {
  CHECK(NULL);
  if (index >= (uint)gpus) return INVALID_ARGUMENT;
  *out = &devices[index][MAX_SLICES];
  return error_of(__func__, (*out)->id);
}
int nvmlDeviceGetUUID(Device *device, char *out, uint length) {
  CHECK(device);
  snprintf(out, length, device->slice < 0 ? "GPU-%08d-0000-0000-0000-000000000000" : "MIG-%08d-0000-0000-0000-%012d",
           device->gpu, device->slice);
  return SUCCESS;
}
int nvmlDeviceGetName(Device *device, char *out, uint length) {
  CHECK(device);
  snprintf(out, length, "NVIDIA H100 80GB HBM3%s", device->slice < 0 ? "" : " MIG 1g.10gb");
  return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Device *device, uint out[2]) {
  CHECK(device);
  out[0] = (uint)value("gpu_util", device, 0), out[1] = (uint)value("memory_util", device, 0);
  return SUCCESS;
}
struct memory { ull total, free, used; };
int nvmlDeviceGetMemoryInfo(Device *device, struct memory *out) {
  CHECK(device);
  out->total = value("memory_total", device, 85520809984ull);
  out->used = value("memory_used", device, 1048576) + value("memory_reserved", device, 659554304);
  out->free = out->total - out->used;
  return SUCCESS;
}
struct memory_v2 { uint version; ull total, reserved, free, used; };
int nvmlDeviceGetMemoryInfo_v2(Device *device, struct memory_v2 *out) {
  CHECK(device);
  if (out->version != (sizeof *out | 2 << 24)) return VERSION_MISMATCH;
  out->total = value("memory_total", device, 85520809984ull);
  out->used = value("memory_used", device, 1048576), out->reserved = value("memory_reserved", device, 659554304);
  out->free = out->total - out->used - out->reserved;
  return SUCCESS;
}
int nvmlDeviceGetTemperature(Device *device, uint sensor, uint *out) { (void)sensor; GIVE(uint, "temperature", 33) }
struct temperature { uint version, sensor; int temperature; };
int nvmlDeviceGetTemperatureV(Device *device, struct temperature *out) {
  CHECK(device);
  if (out->version != (sizeof *out | 1 << 24)) return VERSION_MISMATCH;
  out->temperature = (int)value("temperature", device, 33);
  return SUCCESS;
}
int nvmlDeviceGetPowerUsage(Device *device, uint *out) GIVE(uint, "power", 70000)
int nvmlDeviceGetEnforcedPowerLimit(Device *device, uint *out) GIVE(uint, "power_limit", 700000)
int nvmlDeviceGetTotalEnergyConsumption(Device *device, ull *out) GIVE(ull, "energy", 123456789)
int nvmlDeviceGetClockInfo(Device *device, uint clock, uint *out) {
  static const char *names[] = {"clock_graphics", "clock_sm", "clock_memory", "clock_video"};
  static const uint otherwise[] = {345, 345, 2619, 765};
  if (clock > 3) return INVALID_ARGUMENT;
  GIVE(uint, names[clock], otherwise[clock])
}
int nvmlDeviceGetFanSpeed(Device *device, uint *out) GIVE(uint, "fan", 30)
int nvmlDeviceGetCurrentClocksEventReasons(Device *device, ull *out) GIVE(ull, "reasons", 1)
int nvmlDeviceGetSupportedClocksEventReasons(Device *device, ull *out) GIVE(ull, "known_reasons", 0x1ff)
int nvmlDeviceGetCurrentClocksThrottleReasons(Device *device, ull *out) GIVE(ull, "reasons", 1)
int nvmlDeviceGetSupportedClocksThrottleReasons(Device *device, ull *out) GIVE(ull, "known_reasons", 0x1ff)
int nvmlDeviceGetTotalEccErrors(Device *device, uint kind, uint counter, ull *out) {
  (void)counter;
  GIVE(ull, kind ? "ecc_uncorrected" : "ecc_corrected", 0)
}
int nvmlDeviceGetPcieThroughput(Device *device, uint counter, uint *out) {
  usleep(20000);
  GIVE(uint, counter ? "pcie_rx" : "pcie_tx", counter ? 1500 : 2500)
}

struct field { uint id, scope; int64_t timestamp, latency; int type, status; union { uint ui; ull ull_; } value; };
int nvmlDeviceGetFieldValues(Device *device, int count, struct field *fields) {
  CHECK(device);
  for (struct field *field = fields; field < fields + count; field++) {
    char name[32];
    snprintf(name, sizeof name, "field_%u", field->id);
    int wide = field->id == 138 || field->id == 139; /* NVLink, in KiB, of all links together */
    field->status = find(name, device->id) && (!wide || field->scope == UINT32_MAX) ? SUCCESS : NOT_SUPPORTED;
    field->type = wide ? 3 : 1;
    field->value.ull_ = value(name, device, 0);
  }
  return SUCCESS;
}

struct process { uint pid; ull used; uint gpu_instance, compute_instance; };
static int processes(const char *name, Device *device, uint *count, struct process *out) {
  const char *list = find(name, device->id);
  uint found = 0;
  for (const char *at = list; at && *at; found++) {
    if (out && found < *count) {
      char *end;
      out[found].pid = (uint)strtoul(at, &end, 10);
      out[found].used = end[1] == '-' ? UINT64_MAX : strtoull(end + 1, NULL, 10);
      out[found].gpu_instance = out[found].compute_instance = UINT32_MAX;
    }
    at = strchr(at, ',');
    if (at) at++;
  }
  int fits = found <= *count;
  *count = found;
  return fits ? SUCCESS : INSUFFICIENT_SIZE;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, uint *count, struct process *out) {
  CHECK(device);
  return processes("compute", device, count, out);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *device, uint *count, struct process *out) {
  CHECK(device);
  return processes("graphics", device, count, out);
}
int nvmlDeviceGetComputeRunningProcesses_v2(Device *device, uint *count, struct process *out) {
  CHECK(device);
  return processes("compute", device, count, out);
}
int nvmlDeviceGetGraphicsRunningProcesses_v2(Device *device, uint *count, struct process *out) {
  CHECK(device);
  return processes("graphics", device, count, out);
}

struct sample { uint pid; ull when; uint sm, memory, encoder, decoder; };
int nvmlDeviceGetProcessUtilization(Device *device, struct sample *out, uint *count, ull since) {
  CHECK(device);
  if (find("no_samples", device->id)) { *count = 0; return SUCCESS; }
  if (!out) { *count = 100; return INSUFFICIENT_SIZE; } /* as real drivers do, whatever there is */
  struct timeval now;
  gettimeofday(&now, NULL);
  ull when = (ull)now.tv_sec * 1000000 + (ull)now.tv_usec;
  uint found = 0;
  for (const char *at = find("use", device->id); at && *at && found < *count; found++) {
    char *end;
    uint pid = (uint)strtoul(at, &end, 10);
    out[found] = (struct sample){pid, when, (uint)strtoul(end + 1, NULL, 10), 0, 0, 0};
    at = strchr(at, ',');
    if (at) at++;
  }
  *count = found;
  return found && when > since ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetMigMode(Device *device, uint *current, uint *pending) {
  CHECK(device);
  if (!find("mig", device->id)) return NOT_SUPPORTED;
  *current = *pending = value("mig", device, 0) > 0;
  return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(Device *device, uint *out) { CHECK(device); *out = MAX_SLICES; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, uint index, Device **out) {
  CHECK(device);
  if (index >= value("mig", device, 0)) return NOT_FOUND;
  *out = &devices[device->gpu][index];
  return SUCCESS;
}

int nvmlEventSetCreate(void **out) { CHECK(NULL); *out = watched; memset(watched, 0, sizeof watched); return SUCCESS; }
int nvmlDeviceRegisterEvents(Device *device, ull types, void *set) {
  CHECK(device);
  if (types != 8 || set != watched) return INVALID_ARGUMENT;
  watched[device->gpu] = 1;
  return SUCCESS;
}
struct event { Device *device; ull type, data; uint gpu_instance, compute_instance; };
int nvmlEventSetWait_v2(void *set, struct event *out, uint timeout) {
  static char last[4096];
  static int told;
  const char *path = getenv("NVML_STUB");
  if (set != watched) return INVALID_ARGUMENT;
  if (strcmp(last, path ? path : "")) snprintf(last, sizeof last, "%s", path ? path : ""), told = 0;
  for (uint waited = 0;; waited += 5) {
    CHECK(NULL);
    const char *at = find("xid", NULL);
    for (int skip = 0; at && skip < told; skip++) {
      at = strchr(at, ',');
      if (at) at++;
    }
    if (at && *at) {
      char *end;
      int gpu = (int)strtol(at, &end, 10);
      told++;
      if (gpu < gpus && watched[gpu]) {
        *out = (struct event){&devices[gpu][MAX_SLICES], 8, strtoull(end + 1, NULL, 10), UINT32_MAX, UINT32_MAX};
        return SUCCESS;
      }
    }
    if (waited >= timeout) return TIMEOUT;
    usleep(5000);
  }
}
int nvmlEventSetFree(void *set) { return set == watched ? SUCCESS : INVALID_ARGUMENT; }
