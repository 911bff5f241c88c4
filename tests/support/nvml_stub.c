/* A stand-in for libnvidia-ml.so.1, for tests without a GPU. It answers the calls that the panel makes from a text
 * file of "key value" lines (VARIET_NVML_STUB), read again at every call, so that a test changes the cards while the
 * sampler runs:
 *
 *   init 12               nvmlInitWithFlags returns this error
 *   count 2               number of cards
 *   driver 580.95.05      driver version
 *   gpu0.used 1024        memory in MiB; also gpu0.total, .reserved, .utilisation, .temperature, .milliwatts, .generation,
 *                         .generation_max, .width, .width_max, .receive, .memory_clock, .bus
 *   gpu0.pid 4711         a process that holds gpu0.pid_used MiB of the card
 *   gpu0.error 15         every call about card 0 returns this error
 *   gpu0.power.error 3    one call returns it; also .memory .utilisation .temperature .link .receive .processes .name
 *                         .handle
 *   hang 1                the next memory call never returns
 *   crash 1               the next memory call ends the process
 *   print 1               the next memory call prints to stdout, as a chatty driver does
 *
 * Built with -DWITHOUT_POWER it lacks nvmlDeviceGetPowerUsage, as an old driver lacks new functions. The names of all
 * calls are appended to VARIET_NVML_STUB_CALLS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned int gpu, memory; } utilisation_t;
typedef struct {
    char legacy[16];
    unsigned int domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} pci_t;

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2 };

static int initialised = 0;
static int cards[8] = {0, 1, 2, 3, 4, 5, 6, 7};

static int look_up(const char *wanted, char *value, size_t size) {
    const char *path = getenv("VARIET_NVML_STUB");
    FILE *file = path ? fopen(path, "r") : NULL;
    char key[64], text[192];
    int found = 0;
    if (!file) return 0;
    while (fscanf(file, "%63s %191[^\n]", key, text) == 2)
        if (strcmp(key, wanted) == 0) { snprintf(value, size, "%s", text); found = 1; }
    fclose(file);
    return found;
}

static long long number(const char *key, long long fallback) {
    char value[192];
    return look_up(key, value, sizeof value) ? atoll(value) : fallback;
}

static long long of_card(int card, const char *what, long long fallback) {
    char key[64];
    snprintf(key, sizeof key, "gpu%d.%s", card, what);
    return number(key, fallback);
}

static void note(const char *call) {
    const char *path = getenv("VARIET_NVML_STUB_CALLS");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) { fprintf(file, "%s\n", call); fclose(file); }
}

static int refusal(void *handle, const char *call) {
    char key[48];
    int card = *(int *)handle;
    note(call);
    if (!initialised) return UNINITIALIZED;
    long long error = of_card(card, "error", OK);
    if (error) return (int)error;
    snprintf(key, sizeof key, "%s.error", call);
    return (int)of_card(card, key, OK);
}

int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    note("init");
    int error = (int)number("init", OK);
    if (!error) initialised = 1;
    return error;
}

int nvmlShutdown(void) {
    note("shutdown");
    if (!initialised) return UNINITIALIZED;
    initialised = 0;
    return OK;
}

const char *nvmlErrorString(int error) { return error == 15 ? "GPU is lost" : error == 18 ? "Driver/library version mismatch" : "Some error"; }

int nvmlSystemGetDriverVersion(char *text, unsigned int size) {
    if (!initialised) return UNINITIALIZED;
    if (!look_up("driver", text, size)) snprintf(text, size, "580.95.05");
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    if (!initialised) return UNINITIALIZED;
    *count = (unsigned int)number("count", 1);
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) {
    if (!initialised) return UNINITIALIZED;
    if (index >= 8) return INVALID_ARGUMENT;
    *handle = &cards[index];
    return (int)of_card((int)index, "handle.error", OK);
}

int nvmlDeviceGetName(void *handle, char *text, unsigned int size) {
    int error = refusal(handle, "name");
    if (!error) snprintf(text, size, "NVIDIA GeForce RTX 3060");
    return error;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned int size) {
    int error = refusal(handle, "uuid");
    if (!error) snprintf(text, size, "GPU-0000000%d", *(int *)handle);
    return error;
}

int nvmlDeviceGetPciInfo_v3(void *handle, pci_t *pci) {
    int error = refusal(handle, "pci");
    if (error) return error;
    memset(pci, 0, sizeof *pci);
    pci->bus = (unsigned int)*(int *)handle + 0x0a;
    return OK;
}

int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    int error = refusal(handle, "memory");
    if (number("hang", 0)) for (;;) pause();
    if (number("crash", 0)) abort();
    if (number("print", 0)) { printf("driver says hello"); fflush(stdout); }
    if (error) return error;
    memory->total = (unsigned long long)of_card(*(int *)handle, "total", 12288) << 20;
    memory->used = (unsigned long long)of_card(*(int *)handle, "used", 0) << 20;
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2_t *memory) {
    int error = refusal(handle, "reserved");
    memory->total = (unsigned long long)of_card(*(int *)handle, "total", 12288) << 20;
    memory->reserved = (unsigned long long)of_card(*(int *)handle, "reserved", 382) << 20;
    memory->used = (unsigned long long)of_card(*(int *)handle, "used", 0) << 20;
    memory->free = memory->total - memory->used - memory->reserved;
    return error;
}

int nvmlDeviceGetUtilizationRates(void *handle, utilisation_t *rates) {
    int error = refusal(handle, "utilisation");
    rates->gpu = (unsigned int)of_card(*(int *)handle, "utilisation", 0);
    rates->memory = 0;
    return error;
}

static int one(void *handle, const char *call, const char *what, unsigned int fallback, unsigned int *value) {
    int error = refusal(handle, call);
    *value = (unsigned int)of_card(*(int *)handle, what, fallback);
    return error;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned int *value) {
    return sensor ? INVALID_ARGUMENT : one(handle, "temperature", "temperature", 30, value);
}
#ifndef WITHOUT_POWER
int nvmlDeviceGetPowerUsage(void *handle, unsigned int *value) { return one(handle, "power", "milliwatts", 15250, value); }
#endif
int nvmlDeviceGetCurrPcieLinkGeneration(void *handle, unsigned int *value) { return one(handle, "link", "generation", 1, value); }
int nvmlDeviceGetMaxPcieLinkGeneration(void *handle, unsigned int *value) { return one(handle, "link_max", "generation_max", 4, value); }
int nvmlDeviceGetCurrPcieLinkWidth(void *handle, unsigned int *value) { return one(handle, "link", "width", 8, value); }
int nvmlDeviceGetMaxPcieLinkWidth(void *handle, unsigned int *value) { return one(handle, "link_max", "width_max", 16, value); }
int nvmlDeviceGetPcieThroughput(void *handle, int counter, unsigned int *value) {
    return counter != 1 ? INVALID_ARGUMENT : one(handle, "receive", "receive", 2048, value);
}
int nvmlDeviceGetMaxClockInfo(void *handle, int clock, unsigned int *value) {
    return clock != 2 ? INVALID_ARGUMENT : one(handle, "memory_clock", "memory_clock", 7501, value);
}
int nvmlDeviceGetMemoryBusWidth(void *handle, unsigned int *value) { return one(handle, "bus", "bus", 192, value); }

typedef struct { unsigned int pid; unsigned long long used; unsigned int instance, compute; } process_t;
enum { INSUFFICIENT_SIZE = 7 };

static int processes(void *handle, unsigned int *count, process_t *list) {
    int error = refusal(handle, "processes");
    if (error) return error;
    long long pid = of_card(*(int *)handle, "pid", 0);
    if (!pid) { *count = 0; return OK; }
    if (!list || *count < 1) { *count = 1; return INSUFFICIENT_SIZE; }
    *count = 1;
    list[0].pid = (unsigned int)pid;
    list[0].used = (unsigned long long)of_card(*(int *)handle, "pid_used", 0) << 20;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, process_t *list) {
    return processes(handle, count, list);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned int *count, process_t *list) {
    (void)handle; (void)list;
    *count = 0;
    return OK;
}
