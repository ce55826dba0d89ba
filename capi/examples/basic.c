/* Registers a service, finds it, reports it, and deregisters it.
 *
 *     cc -Icapi/include capi/examples/basic.c -Ltarget/debug -lrserpool -o basic
 *     LD_LIBRARY_PATH=target/debug ./basic tcp://127.0.0.1:3863
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rserpool.h"

static const uint8_t pool[] = {'E', 'c', 'h', 'o', 'P', 'o', 'o', 'l'};

static void check(rserpool_status status, const char *what)
{
    if (status != RSERPOOL_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", what, rserpool_message(status));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    rserpool_endpoint *endpoint = NULL;
    rserpool_element *elements = NULL;
    rserpool_service service;
    size_t count = 0;
    uint32_t pe = 0;

    if (argc != 2) {
        fprintf(stderr, "say where a registrar is: %s tcp://HOST:PORT\n", argv[0]);
        return 2;
    }
    check(rserpool_connect(argv[1], &endpoint), "connect");

    memset(&service, 0, sizeof service);
    service.handle = pool;
    service.handle_length = sizeof pool;
    service.transport = RSERPOOL_TRANSPORT_TCP;
    service.host = "127.0.0.1";
    service.port = 7;
    service.policy = RSERPOOL_POLICY_LEAST_USED;
    check(rserpool_register(endpoint, &service, &pe), "register");
    check(rserpool_report_load(endpoint, pool, sizeof pool, pe, 0.25), "load");
    printf("registered\n");

    check(rserpool_resolve(endpoint, pool, sizeof pool, 0, &elements, &count), "resolve");
    for (size_t i = 0; i < count; i++) {
        printf("%s %s %u\n", elements[i].pe == pe ? "ours" : "another",
               elements[i].addresses[0].host, (unsigned)elements[i].addresses[0].port);
    }
    rserpool_free_elements(elements, count);

    check(rserpool_report_unreachable(endpoint, pool, sizeof pool, pe), "report");
    check(rserpool_deregister(endpoint, pool, sizeof pool, pe), "deregister");
    printf("then: %s\n",
           rserpool_message(rserpool_resolve(endpoint, pool, sizeof pool, 0, &elements, &count)));
    rserpool_disconnect(endpoint);
    return 0;
}
