package awscall

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Query is the protocol awsQuery of the Smithy specification. Members are named by their fields, in
// requests and in answers, whose members are below the element <Operation>Result.
type Query struct{ Version string }

// Request implements Protocol.
func (p Query) Request(_ Endpoint, operation string, in any, r *smithyhttp.Request) (*smithyhttp.Request, error) {
	form := url.Values{"Action": {operation}, "Version": {p.Version}}
	if in != nil {
		if err := members(form, "", reflect.ValueOf(in)); err != nil {
			return nil, err
		}
	}
	return post(r, []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
}

// members writes a value: those of a structure below its name, those of a list as name.member.N.
func members(form url.Values, name string, v reflect.Value) error {
	below := func(part string) string {
		if name == "" {
			return part
		}
		return name + "." + part
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return members(form, name, v.Elem())
	case reflect.Struct:
		if at, is := v.Interface().(time.Time); is {
			form.Set(name, smithytime.FormatDateTime(at))
			return nil
		}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				if err := members(form, below(field.Name), v.Field(i)); err != nil {
					return err
				}
			}
		}
		return nil
	case reflect.Slice:
		if !v.IsNil() && v.Len() == 0 {
			form.Set(name, "") // an empty list is not a missing one
		}
		for i := range v.Len() {
			if err := members(form, below("member."+strconv.Itoa(i+1)), v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		// The name of a key and of a value is in each service's description; tags have small letters.
		key, value := "Name", "Value"
		if v.Type() == reflect.TypeFor[map[string]string]() {
			key, value = "key", "value"
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for i, k := range keys {
			at := below("entry." + strconv.Itoa(i+1))
			form.Set(at+"."+key, k.String())
			if err := members(form, at+"."+value, v.MapIndex(k)); err != nil {
				return err
			}
		}
		return nil
	case reflect.String:
		if v.Len() > 0 || v.Type() == reflect.TypeFor[string]() { // an empty value of an enumeration is not sent
			form.Set(name, v.String())
		}
		return nil
	case reflect.Bool:
		form.Set(name, strconv.FormatBool(v.Bool()))
		return nil
	case reflect.Int32, reflect.Int64:
		form.Set(name, strconv.FormatInt(v.Int(), 10))
		return nil
	case reflect.Float64:
		form.Set(name, strconv.FormatFloat(v.Float(), 'f', -1, 64))
		return nil
	default:
		return fmt.Errorf("member %s is a %s", name, v.Kind())
	}
}

// element is an XML element of an answer.
type element struct {
	XMLName xml.Name
	Text    string    `xml:",chardata"`
	Members []element `xml:",any"`
}

// into sets a value: the members of a structure are the elements with their names, those of a
// list are all its elements. Elements that a structure has no member for are left out.
func (e *element) into(v reflect.Value) (err error) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return e.into(v.Elem())
	case reflect.Struct:
		if at, is := v.Addr().Interface().(*time.Time); is {
			*at, err = smithytime.ParseDateTime(e.Text)
			return err
		}
		for i := range e.Members {
			if member := v.FieldByName(e.Members[i].XMLName.Local); member.CanSet() {
				if err := e.Members[i].into(member); err != nil {
					return err
				}
			}
		}
		return nil
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(e.Members), len(e.Members)))
		for i := range e.Members {
			if err := e.Members[i].into(v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		texts := map[string]string{}
		for _, entry := range e.Members {
			pair := map[string]string{}
			for _, part := range entry.Members {
				pair[part.XMLName.Local] = part.Text
			}
			texts[pair["key"]] = pair["value"]
		}
		v.Set(reflect.ValueOf(texts))
		return nil
	case reflect.String:
		v.SetString(e.Text)
		return nil
	case reflect.Bool:
		set, err := strconv.ParseBool(e.Text)
		v.SetBool(set)
		return err
	case reflect.Int32, reflect.Int64:
		number, err := strconv.ParseInt(e.Text, 10, v.Type().Bits())
		v.SetInt(number)
		return err
	case reflect.Float64:
		number, err := strconv.ParseFloat(e.Text, 64)
		v.SetFloat(number)
		return err
	default:
		return fmt.Errorf("member %s is a %s", e.XMLName.Local, v.Kind())
	}
}

// Answer implements Protocol.
func (Query) Answer(operation string, answer *smithyhttp.Response, out any) error {
	body, err := Body(answer)
	if err != nil {
		return err
	}
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && reflect.TypeOf(out).Elem().NumField() == 0 {
			return nil // operations that return nothing have no result
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("it has no %sResult", operation)
		}
		if err != nil {
			return err
		}
		if start, is := token.(xml.StartElement); is && start.Name.Local == operation+"Result" {
			var result element
			if err := decoder.DecodeElement(&result, &start); err != nil {
				return err
			}
			return result.into(reflect.ValueOf(out).Elem())
		}
	}
}

// Failure implements Protocol.
func (Query) Failure(answer *smithyhttp.Response, body []byte) error {
	var told struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	// What is not XML comes from a proxy, and has neither code nor message.
	_ = xml.Unmarshal(body, &told)
	return Refusal(answer, told.Code, told.Message)
}
