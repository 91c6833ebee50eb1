/* Names to addresses that passed the filter, remembered for a short while. What is handed out is
 * what is connected to: a name that answers otherwise the next moment changes nothing. */
#pragma once

#include "federation/address-filter.h"

G_BEGIN_DECLS

typedef struct _CmNames CmNames;

/* Takes @filter. */
CmNames *cm_names_new (GResolver *resolver, CmAddressFilter *filter);
void cm_names_free (CmNames *names);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmNames, cm_names_free)

/* (transfer full) the allowed addresses of @host (a name or a literal) as texts, at least one, the
 * one to try first in front. CM_ERROR_BAD_GATEWAY. Blocking. */
GStrv cm_names_find (CmNames *names, const char *host, GCancellable *cancellable, GError **error);
/* @address of @host answered: it is the first to be tried from now on. */
void cm_names_prefer (CmNames *names, const char *host, const char *address);
gboolean cm_names_allows (CmNames *names, const char *address);

G_END_DECLS
