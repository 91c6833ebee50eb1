/* The signing keys that are known: in memory, and behind that in table server_key. */
#pragma once

#include "federation/key-document.h"
#include "schema/db.h"

G_BEGIN_DECLS

typedef struct _CmKeyStore CmKeyStore;

CmKeyStore *cm_key_store_new (CmPool *pool);
void cm_key_store_free (CmKeyStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmKeyStore, cm_key_store_free)

/* (transfer full) the key when it is known in memory and good (cm_server_key_is_good), else NULL.
 */
char *cm_key_store_find (CmKeyStore *store, const char *server, const char *key_id, gint64 when_ms);
/* Whether it is known in memory, good or not. */
gboolean cm_key_store_knows (CmKeyStore *store, const char *server, const char *key_id);
/* Whether any key of @server is good for requests now. */
gboolean cm_key_store_has_good (CmKeyStore *store, const char *server);
/* Reads the keys of those of @servers into memory that are not there. */
gboolean cm_key_store_load (CmKeyStore *store, const char *const *servers, GError **error);
/* Keeps @keys (of CmServerKey; taken over) that stood in @document, in memory and in the database,
 * and beside them no more of @server's than make CM_SERVER_KEYS_MAX; and the document, unless it is
 * older than the one that is there. @from_itself: @server has just said so.
 * A database that fails only costs the persistence. */
void cm_key_store_save (CmKeyStore *store, const char *server, GPtrArray *keys,
                        const CmJson *document, gboolean from_itself);

/* Notes that @key is this server's own: what it used before becomes old. Returns: (transfer full)
 * the old ones, of CmServerKey. */
GPtrArray *cm_key_store_set_own (CmKeyStore *store, const char *server, const CmSigningKey *key,
                                 GError **error);
/* (transfer full) the stored document of @server, NULL without @error when there is none;
 * @valid_until gets how long it is good, 0 without one. */
GBytes *
cm_key_store_document (CmKeyStore *store, const char *server, gint64 *valid_until, GError **error);

/* Forgets, of servers that no room has heard of, those that are not among the newest @most, or
 * whose document ended before @before_ms; @limit of them at most. *@more: there may be more. They
 * can be asked for again. */
gboolean cm_server_keys_forget (CmDb *db, gint64 before_ms, gint64 most, gint64 limit,
                                gboolean *more, GError **error);

G_END_DECLS
