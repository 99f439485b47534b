/* Gets one value and ends. Most of the cost is the start of the library.
 *
 * usage: once URI UUID
 */
#include <libvirt/libvirt.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t bytes;
    virConnectPtr daemon = argc == 3 ? virConnectOpen(argv[1]) : NULL;
    virSecretPtr secret = daemon ? virSecretLookupByUUIDString(daemon, argv[2]) : NULL;
    unsigned char *value = secret ? virSecretGetValue(secret, &bytes, 0) : NULL;
    if (!value)
        return 1;
    free(value);
    virSecretFree(secret);
    virConnectClose(daemon);
    return 0;
}
