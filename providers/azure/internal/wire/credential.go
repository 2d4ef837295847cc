package wire

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"offsite/providers"
)

const longestText = 600 // what the credentials of a chain say, one after the other

// Token gives a bearer token for a scope, and when it ends.
type Token func(ctx context.Context, scope string) (string, time.Time, error)

// Target is one container and one credential.
type Target struct {
	Account   string
	Container string
	Endpoint  string // of the account; empty: the public cloud's

	SharedKey string
	SAS       string
	Token     Token // none of the three: the default chain

	Line Line
}

// address is the URL of the account, with the SAS if there is one.
func (t Target) address() (string, error) {
	endpoint := t.Endpoint
	if endpoint == "" {
		endpoint = "https://" + t.Account + ".blob.core.windows.net"
	}
	u, err := Endpoint(endpoint)
	if err != nil {
		return "", err
	}
	if t.SAS != "" {
		q, err := url.ParseQuery(strings.TrimPrefix(t.SAS, "?"))
		if err != nil || q.Get("sig") == "" {
			return "", errors.New("SAS cannot be read") // its text is a secret
		}
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}

// Client is the client of the container. Its errors wrap a kind.
func (t Target) Client() (*container.Client, error) {
	account, err := t.Service()
	if err != nil {
		return nil, err
	}
	return account.NewContainerClient(t.Container), nil
}

// Service is the client of the account, with the container's credential.
func (t Target) Service() (*service.Client, error) {
	address, err := t.address()
	if err != nil {
		return nil, invalid(err)
	}
	options, err := t.Line.Options(address)
	if err != nil {
		return nil, invalid(err)
	}
	opt := &service.ClientOptions{ClientOptions: options}
	var client *service.Client
	switch {
	case t.SAS != "":
		client, err = service.NewClientWithNoCredential(address, opt)
	case t.SharedKey != "":
		key, keyErr := service.NewSharedKeyCredential(t.Account, t.SharedKey)
		if keyErr != nil {
			return nil, invalid(errors.New("shared key is not base64"))
		}
		client, err = service.NewClientWithSharedKeyCredential(address, key, opt)
	default:
		tokens, chainErr := Credential(t.Token, options)
		if chainErr != nil {
			return nil, chainErr
		}
		client, err = service.NewClient(address, tokens, opt)
	}
	if err != nil {
		return nil, invalid(Cause(err))
	}
	return client, nil
}

func invalid(err error) error {
	return &providers.Error{Op: "open", Provider: "azure", Kind: providers.ErrInvalid, Err: err}
}

// Credential is what signs in: token or, if it is nil, azidentity's default chain,
// which renews its tokens by itself.
func Credential(token Token, options azcore.ClientOptions) (azcore.TokenCredential, error) {
	if token != nil {
		return Tokens{given(token)}, nil
	}
	chain, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: options.Transport, Telemetry: options.Telemetry},
	})
	if err != nil {
		return nil, &providers.Error{Op: "open", Provider: "azure", Kind: providers.ErrDenied, Err: errors.New(Printable(err.Error(), longestText))}
	}
	return Tokens{chain}, nil
}

// given is a Token as the SDK wants it.
type given Token

func (g given) GetToken(ctx context.Context, opt policy.TokenRequestOptions) (azcore.AccessToken, error) {
	scope := ""
	if len(opt.Scopes) > 0 {
		scope = opt.Scopes[0]
	}
	token, until, err := g(ctx, scope)
	return azcore.AccessToken{Token: token, ExpiresOn: until}, err
}

// Tokens are those of a chain of credentials, with errors that have a kind: the
// chain puts whatever happened into one text.
type Tokens struct{ Chain azcore.TokenCredential }

// CredentialError says why there is no token. Nothing was sent to the store then.
type CredentialError struct {
	Kind error
	Text string
}

func (e *CredentialError) Error() string { return e.Text }

// GetToken asks the chain.
func (t Tokens) GetToken(ctx context.Context, opt policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := t.Chain.GetToken(ctx, opt)
	if err == nil || ctx.Err() != nil {
		return token, errors.Join(err, ctx.Err())
	}
	e := &CredentialError{providers.ErrDenied, Printable(err.Error(), longestText)}
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) {
		switch {
		case failed.RawResponse == nil: // the authority did not answer
			e.Kind = providers.ErrUnreachable
		case failed.RawResponse.StatusCode == http.StatusTooManyRequests || failed.RawResponse.StatusCode >= 500:
			e.Kind = providers.ErrBusy
		}
	}
	return token, e
}
