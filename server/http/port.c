#include "server/http/port.h"

#include "server/config/config.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <netinet/in.h>

char *
cm_port_peer (const struct sockaddr *address)
{
  char text[INET6_ADDRSTRLEN] = "";

  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *) address;
    inet_ntop (AF_INET, &in->sin_addr, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) address;
    if (IN6_IS_ADDR_V4MAPPED (&in6->sin6_addr))
      inet_ntop (AF_INET, &in6->sin6_addr.s6_addr[12], text, sizeof text);
    else
      inet_ntop (AF_INET6, &in6->sin6_addr, text, sizeof text);
  }
  return g_strdup (text);
}

gboolean
cm_port_trusts (const CmPort *port, const char *address)
{
  return port->trusted != NULL && cm_config_ranges_match (port->trusted, address);
}

char *
cm_port_client (const CmPort *port, const char *peer, GPtrArray *forwarded)
{
  g_autofree char *client = g_strdup (peer);

  /* From the nearest hop outwards: the first that is no proxy of ours is all that can be believed.
   */
  for (guint i = forwarded->len; i > 0; i--) {
    g_auto (GStrv) hops = g_strsplit (g_ptr_array_index (forwarded, i - 1), ",", -1);
    for (guint j = g_strv_length (hops); j > 0; j--) {
      g_autoptr (GInetAddress) inet = g_inet_address_new_from_string (g_strstrip (hops[j - 1]));
      if (inet == NULL)
        return g_steal_pointer (&client);
      g_free (client);
      client = g_inet_address_to_string (inet);
      if (!cm_port_trusts (port, client))
        return g_steal_pointer (&client);
    }
  }
  return g_steal_pointer (&client);
}
