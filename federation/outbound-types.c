#include "federation/outbound-types.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <libsoup/soup.h>

/* Those with interfaces that classes of both libraries name in their properties. */
static GType (*const types[]) (void) = {
  g_inet_address_get_type,        g_inet_socket_address_get_type, g_unix_socket_address_get_type,
  g_network_address_get_type,     g_proxy_address_get_type,       g_socket_get_type,
  g_socket_connection_get_type,   g_tcp_connection_get_type,      g_task_get_type,
  g_memory_input_stream_get_type, soup_message_get_type,
};

void
cm_outbound_register_types (void)
{
  GTlsBackend *backend = g_tls_backend_get_default ();
  g_autoptr (SoupSession) session = soup_session_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    g_type_ensure (types[i]());
  g_type_ensure (g_tls_backend_get_certificate_type (backend));
  g_type_ensure (g_tls_backend_get_client_connection_type (backend));
  g_type_ensure (g_tls_backend_get_file_database_type (backend));
}
