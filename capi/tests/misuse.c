/* Calls everything with arguments that are wrong, and expects to be told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rserpool.h"

static const uint8_t pool[] = {'P', 'o', 'o', 'l'};

#define EXPECT(wanted, call)                                                             \
    do {                                                                                 \
        rserpool_status got = (call);                                                    \
        if (got != (wanted)) {                                                           \
            fprintf(stderr, "line %d: %s gives %d: %s\n", __LINE__, #call, (int)got,     \
                    rserpool_message(got));                                              \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)
#define INVALID RSERPOOL_STATUS_INVALID

int main(int argc, char **argv)
{
    rserpool_endpoint *endpoint = NULL;
    rserpool_element *elements = NULL;
    size_t count = 0;
    uint32_t pe = 0;
    const rserpool_service good = {
        .handle = pool, .handle_length = sizeof pool, .host = "::1", .port = 9};

    if (argc != 2)
        return 2;
    if (strcmp(rserpool_message(99), "this is no status") != 0)
        return 1;
    EXPECT(INVALID, rserpool_connect(NULL, &endpoint));
    EXPECT(INVALID, rserpool_connect(argv[1], NULL));
    EXPECT(INVALID, rserpool_connect("", &endpoint));
    EXPECT(INVALID, rserpool_connect("http://localhost", &endpoint));
    EXPECT(INVALID, rserpool_connect("tcp://127.0.0.1:1,\xff", &endpoint));
    EXPECT(RSERPOOL_STATUS_NO_REGISTRAR, rserpool_connect("tcp://127.0.0.1:1", &endpoint));
    EXPECT(RSERPOOL_STATUS_OK, rserpool_connect(argv[1], &endpoint));

    EXPECT(INVALID, rserpool_register(NULL, &good, &pe));
    EXPECT(INVALID, rserpool_register(endpoint, NULL, &pe));
    for (int wrong = 0; wrong < 8; wrong++) {
        rserpool_service service = good;
        switch (wrong) {
        case 0: service.handle = NULL; break;
        case 1: service.handle_length = 0; break;
        case 2: service.host = NULL; break;
        case 3: service.host = "localhost"; break;
        case 4: service.host = "0.0.0.0"; break;
        case 5: service.port = 0; break;
        case 6: service.policy = 7; break;
        case 7: service.transport = RSERPOOL_TRANSPORT_OTHER; break;
        }
        EXPECT(INVALID, rserpool_register(endpoint, &service, &pe));
    }
    EXPECT(RSERPOOL_STATUS_OK, rserpool_register(endpoint, &good, NULL));
    EXPECT(RSERPOOL_STATUS_OK, rserpool_register(endpoint, &good, &pe));

    EXPECT(INVALID, rserpool_report_load(endpoint, pool, sizeof pool, pe, 1.5));
    EXPECT(INVALID, rserpool_report_load(endpoint, NULL, 1, pe, 0.5));
    EXPECT(RSERPOOL_STATUS_NOT_REGISTERED,
           rserpool_report_load(endpoint, pool, 3, pe, 0.5));
    EXPECT(RSERPOOL_STATUS_NOT_REGISTERED,
           rserpool_deregister(endpoint, pool, sizeof pool, pe + 1));
    EXPECT(INVALID, rserpool_resolve(endpoint, pool, sizeof pool, 0, NULL, &count));
    EXPECT(INVALID, rserpool_resolve(endpoint, pool, sizeof pool, 0, &elements, NULL));
    EXPECT(INVALID, rserpool_report_unreachable(endpoint, pool, sizeof pool, 0));
    EXPECT(RSERPOOL_STATUS_UNKNOWN_POOL,
           rserpool_resolve(endpoint, pool, 3, 0, &elements, &count));

    EXPECT(RSERPOOL_STATUS_OK,
           rserpool_resolve(endpoint, pool, sizeof pool, 1, &elements, &count));
    if (count != 1 || strcmp(elements[0].addresses[0].host, "::1") != 0)
        return 1;
    rserpool_free_elements(elements, count);
    rserpool_free_elements(NULL, 5);
    EXPECT(RSERPOOL_STATUS_OK, rserpool_deregister(endpoint, pool, sizeof pool, pe));
    /* What is still registered goes with the endpoint. */
    rserpool_disconnect(endpoint);
    rserpool_disconnect(NULL);
    puts("refused");
    return 0;
}
