package azure

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"offsite/providers"
	"offsite/providers/azure/internal/wire"
)

// KnownCode says whether the table has an error code.
func KnownCode(code string) bool {
	_, ok := codes[code]
	return ok
}

// TokenError is the text and kind of the error that a chain's error becomes.
func TokenError(ctx context.Context, err error) (text string, kind error) {
	_, err = wire.Tokens{Chain: failing{err}}.GetToken(ctx, policy.TokenRequestOptions{})
	var e *providers.Error
	errors.As((&Driver{}).failure(ctx, "put", create, "r/a", err), &e)
	return e.Error(), e.Kind
}

type failing struct{ err error }

func (f failing) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, f.err
}
